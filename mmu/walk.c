#include <nestwalk/mmu/walk.h>
#include <nestwalk/mmu/walk_template.h>
#include <stdio.h>
#include <string.h>

const char *const nw_outcome_name[NW_WALK_OUTCOMES] = {
    [NW_WALK_OK] = "ok",
    [NW_WALK_NONCANONICAL] = "non-canonical address",
    [NW_WALK_PAGE_FAULT] = "page fault",
    [NW_WALK_EPT_VIOLATION] = "EPT violation",
    [NW_WALK_EPT_MISCONFIG] = "EPT misconfiguration",
    [NW_WALK_NPF] = "nested page fault",
    [NW_WALK_PML_FULL] = "page-modification log full",
    [NW_WALK_ENTRY_FAIL] = "VM entry refused",
};

/* ---- the template over struct nw_physmem -------------------------------------------------------- */

struct plain {
    struct nw_physmem *pm;
    struct nw_walk_log *log;
};

static inline uint64_t plain_load(void *context, hpa_t hpa)
{
    return nw_physmem_read64(((struct plain *)context)->pm, hpa);
}

static inline void plain_update(void *context, hpa_t hpa, uint64_t set)
{
    /* The word was read as present, so its place exists. */
    uint64_t *word = nw_physmem_find(((struct plain *)context)->pm, hpa);
    if (word)
        *word |= set;
}

static inline void plain_reference(void *context, const struct nw_reference *reference)
{
    struct nw_walk_log *log = ((struct plain *)context)->log;
    if (!log)
        return;
    if (log->count < NW_REFERENCES_MAX)
        log->reference[log->count] = *reference;
    log->count++;
    if (reference->shadow)
        log->shadow++;
    else if (reference->dimension == NW_GUEST)
        log->guest++;
    else
        log->nested++;
}

static const struct nw_walk_hooks plain_hooks = {
    .load = plain_load,
    .update = plain_update,
    .reference = plain_reference,
};

static void log_start(struct nw_walk_log *log)
{
    if (log)
        log->count = log->guest = log->nested = log->shadow = 0;
}

void nw_walk_native(struct nw_physmem *pm, const struct nw_paging *paging, gva_t gva, const struct nw_access *access,
                    struct nw_walk_log *log, struct nw_walk_result *out)
{
    struct plain plain = { pm, log };
    log_start(log);
    nw_walk_run(&plain_hooks, &plain, paging, NULL, gva, access, out);
}

void nw_walk_nested(struct nw_physmem *pm, const struct nw_paging *guest, const struct nw_paging *nested, gva_t gva,
                    const struct nw_access *access, struct nw_walk_log *log, struct nw_walk_result *out)
{
    struct plain plain = { pm, log };
    log_start(log);
    nw_walk_run(&plain_hooks, &plain, guest, nested, gva, access, out);
}

void nw_walk_agile(struct nw_physmem *pm, const struct nw_paging *shadow, const struct nw_paging *guest,
                   const struct nw_paging *nested, gva_t gva, const struct nw_access *access, struct nw_walk_log *log,
                   struct nw_walk_result *out)
{
    struct plain plain = { pm, log };
    log_start(log);
    nw_walk_agile_run(&plain_hooks, &plain, shadow, guest, nested, gva, access, out);
}

void nw_walk_gpa(struct nw_physmem *pm, const struct nw_paging *nested, gpa_t gpa, enum nw_access_kind kind,
                 struct nw_walk_log *log, struct nw_walk_result *out)
{
    struct plain plain = { pm, log };
    log_start(log);
    nw_walk_gpa_run(&plain_hooks, &plain, nested, gpa, kind, out);
}

bool nw_walk_span(struct nw_physmem *pm, const struct nw_paging *guest, const struct nw_paging *nested_or_null,
                  gva_t gva, unsigned bytes, const struct nw_access *access, struct nw_walk_result out[2])
{
    uint64_t last = gva.v + (bytes ? bytes - 1 : 0), upper = last & ~(NW_PAGE_BYTES - 1);
    bool crosses = upper != (gva.v & ~(NW_PAGE_BYTES - 1));
    for (unsigned i = 0; i < (crosses ? 2u : 1u); i++) {
        gva_t part = i ? nw_gva(upper) : gva;
        if (nested_or_null)
            nw_walk_nested(pm, guest, nested_or_null, part, access, NULL, &out[i]);
        else
            nw_walk_native(pm, guest, part, access, NULL, &out[i]);
        if (out[i].outcome != NW_WALK_OK) {
            if (crosses && !i)
                out[1] = out[0];
            break;
        }
    }
    return crosses;
}

void nw_walk_entry_refused(struct nw_walk_result *out, int index)
{
    memset(out, 0, sizeof *out);
    out->outcome = NW_WALK_ENTRY_FAIL;
    /* Exit qualification 2: failure to load the PDPTEs. */
    out->fault = (struct nw_fault){ .code = 2, .level = 2, .for_guest_level = 2, .address = (uint64_t)index };
}

/* ---- words -------------------------------------------------------------------------------------- */

static int describe_code(uint64_t code, char *out, size_t out_size)
{
    return snprintf(out, out_size, "%s%s%s%s%s%s (0x%llx)",
                    code & NW_PF_RSVD ? "reserved bit set"
                    : code & NW_PF_P  ? "protection"
                                      : "not present",
                    code & NW_PF_ID  ? ", fetch"
                    : code & NW_PF_W ? ", write"
                                     : ", read",
                    code & NW_PF_U ? ", user" : ", supervisor", code & NW_PF_PK ? ", protection key" : "",
                    code & NW_NPF_FINAL ? ", final address" : "", code & NW_NPF_TABLE ? ", guest page table" : "",
                    (unsigned long long)code);
}

static void describe_violation(const struct nw_fault *f, char *out, size_t out_size)
{
    snprintf(out, out_size, "EPT violation: %s, entries permit %s%s%s%s (qualification 0x%llx), GPA 0x%llx%s",
             (f->code & 3) == 3 ? "read and write"
             : f->code & 4      ? "fetch"
             : f->code & 2      ? "write"
                                : "read",
             f->code & 8 ? "r" : "-", f->code & 16 ? "w" : "-", f->code & 32 ? "x" : "-", f->code & 64 ? "u" : "",
             (unsigned long long)f->code, (unsigned long long)f->address,
             !(f->code & 128) ? ""
             : f->code & 256  ? ", final address"
                              : ", guest page table");
}

void nw_walk_describe(const struct nw_walk_result *r, char *out, size_t out_size)
{
    char code[160];
    const struct nw_fault *f = &r->fault;
    switch (r->outcome) {
    case NW_WALK_PAGE_FAULT:
        describe_code(f->code, code, sizeof code);
        snprintf(out, out_size, "page fault: %s, CR2 0x%llx", code, (unsigned long long)f->address);
        return;
    case NW_WALK_NPF:
        describe_code(f->code, code, sizeof code);
        snprintf(out, out_size, "nested page fault: %s, GPA 0x%llx", code, (unsigned long long)f->address);
        return;
    case NW_WALK_EPT_VIOLATION: describe_violation(f, out, out_size); return;
    case NW_WALK_EPT_MISCONFIG:
    case NW_WALK_PML_FULL:
        snprintf(out, out_size, "%s: GPA 0x%llx", nw_outcome_name[r->outcome], (unsigned long long)f->address);
        return;
    case NW_WALK_NONCANONICAL:
        snprintf(out, out_size, "non-canonical address 0x%llx", (unsigned long long)f->address);
        return;
    case NW_WALK_ENTRY_FAIL:
        snprintf(out, out_size, "VM entry refused: PDPTE %llu has reserved bits set", (unsigned long long)f->address);
        return;
    default: snprintf(out, out_size, "ok"); return;
    }
}
