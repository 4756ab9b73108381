#include <inttypes.h>
#include <nestwalk/traces/cut.h>
#include <stdlib.h>
#include <string.h>

/* ---- state ---- */

#define MSR_EFER UINT64_C(0xc0000080)
#define CR3_NOFLUSH                                                                                                    \
    (UINT64_C(1) << 63) /* of a MOV to CR3: keep the TLB; not kept in the register (SDM vol. 3, "PCIDs") */

/* The page with this GPA, made (all words 0) and put in its place in the order when it is missing. */
static enum nw_status find_page(struct nw_trace_info *info, uint64_t gpa, struct nw_table_page **out,
                                struct nw_error *err)
{
    uint32_t low = 0, high = info->table_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (info->table[mid].gpa < gpa)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == info->table_count || info->table[low].gpa != gpa) {
        struct nw_table_page *grown = realloc(info->table, (info->table_count + (size_t)1) * sizeof *grown);
        if (!grown)
            return nw_fail_nomem(err, "a trace's page-table pages");
        info->table = grown;
        memmove(info->table + low + 1, info->table + low, (info->table_count - low) * sizeof *info->table);
        memset(&info->table[low], 0, sizeof info->table[low]);
        info->table[low].gpa = gpa;
        info->table_count++;
    }
    *out = &info->table[low];
    return NW_OK;
}

static enum nw_status apply_table_page(struct nw_trace_info *info, const struct nw_event *e, struct nw_error *err)
{
    if (e->arg[0] % NW_PAGE_BYTES)
        return nw_fail(err, NW_ERR_INPUT, "a table-page event has GPA 0x%" PRIx64 ", allowed are multiples of 4096",
                       e->arg[0]);
    struct nw_table_page *page;
    enum nw_status s = find_page(info, e->arg[0], &page, err);
    if (s)
        return s;
    memset(page->word, 0, sizeof page->word);
    for (uint32_t i = 0; i + 1 < e->data_words; i += 2)
        page->word[e->data[i] % NW_WORDS_PER_PAGE] = e->data[i + 1];
    return NW_OK;
}

static enum nw_status apply_table_write(struct nw_trace_info *info, const struct nw_event *e, struct nw_error *err)
{
    for (uint64_t i = 0; i < e->arg[1] && i < 8; i++) {
        uint64_t gpa = e->arg[0] + i;
        struct nw_table_page *page;
        enum nw_status s = find_page(info, gpa & ~(NW_PAGE_BYTES - 1), &page, err);
        if (s)
            return s;
        ((uint8_t *)page->word)[gpa % NW_PAGE_BYTES] = (uint8_t)(e->arg[2] >> 8 * i);
    }
    return NW_OK;
}

enum nw_status nw_trace_info_apply(struct nw_trace_info *info, const struct nw_event *e, struct nw_error *err)
{
    struct nw_vcpu_state *v = e->vcpu < info->vcpu_count ? &info->vcpu[e->vcpu] : NULL;
    switch (e->kind) {
    case NW_EV_CPL:
        if (v)
            v->cpl = e->arg[0] & 3;
        return NW_OK;
    case NW_EV_CR_WRITE:
        if (v && e->arg[0] == 0)
            v->cr0 = e->arg[1];
        else if (v && e->arg[0] == 3)
            v->cr3 = e->arg[1] & ~CR3_NOFLUSH;
        else if (v && e->arg[0] == 4)
            v->cr4 = e->arg[1];
        return NW_OK;
    case NW_EV_MSR_WRITE:
        if (v && e->arg[0] == MSR_EFER)
            v->efer = e->arg[1];
        return NW_OK;
    case NW_EV_TABLE_PAGE: return info->has_tables ? apply_table_page(info, e, err) : NW_OK;
    case NW_EV_TABLE_WRITE: return info->has_tables ? apply_table_write(info, e, err) : NW_OK;
    default: return NW_OK;
    }
}

/* ---- pieces ---- */

bool nw_trace_piece_of(const struct nw_block *b, uint64_t first, uint64_t count, uint32_t *from, uint32_t *to,
                       uint32_t *event_from, uint32_t *event_to)
{
    uint64_t last = count > UINT64_MAX - first ? UINT64_MAX : first + count, end = b->first_access + b->access_count;
    *from = first <= b->first_access ? 0 : first >= end ? b->access_count : (uint32_t)(first - b->first_access);
    *to = last >= end ? b->access_count : last <= b->first_access ? 0 : (uint32_t)(last - b->first_access);
    *event_from = *event_to = 0;
    /* An event at trace position p (p accesses before it) is the piece's when first < p <= last, or p = 0 = first. */
    for (uint32_t e = 0; e < b->event_count; e++) {
        uint64_t position = b->first_access + b->event[e].at;
        *event_from += !(position > first || (!position && !first));
        *event_to += position <= last;
    }
    if (*event_to < *event_from)
        *event_to = *event_from;
    return *from < *to || *event_from < *event_to;
}

/* ---- cutting ---- */

struct job {
    struct nw_source *source;
    struct nw_trace_info info; /* becomes what it is at `first` */
    struct nw_nwt_writer *writer;
    uint64_t first, count, total;
    nw_trace_progress_fn *progress;
    void *context;
};

static enum nw_status report(const struct job *j, uint64_t done, struct nw_error *err)
{
    if (j->progress && !j->progress(j->context, done, j->total))
        return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    return NW_OK;
}

/* Reads only the events of the blocks that begin before the piece, and applies those that lie before it. */
static enum nw_status carry_state(struct job *j, struct nw_error *err)
{
    struct nw_block b;
    enum nw_status s = NW_OK;
    j->source->want = 0;
    while (!s && !(s = nw_source_next(j->source, &b, err)) && !b.end) {
        if (b.first_access > j->first)
            break;
        for (uint32_t e = 0; !s && e < b.event_count; e++)
            if (b.first_access + b.event[e].at <= j->first && j->first)
                s = nw_trace_info_apply(&j->info, &b.event[e], err);
    }
    return s;
}

static enum nw_status copy_part(struct job *j, struct nw_block *b, struct nw_event *scratch, struct nw_error *err)
{
    uint32_t from, to, event_from, event_to;
    if (!nw_trace_piece_of(b, j->first, j->count, &from, &to, &event_from, &event_to))
        return NW_OK;
    b->address += from;
    b->kind = b->kind ? b->kind + from : NULL;
    b->access_count = to - from;
    b->event_count = event_to - event_from;
    for (uint32_t e = 0; e < b->event_count; e++) {
        scratch[e] = b->event[event_from + e];
        scratch[e].at -= from;
    }
    b->event = scratch;
    return nw_nwt_write_block(j->writer, b, err);
}

static enum nw_status copy_piece(struct job *j, struct nw_error *err)
{
    struct nw_block b;
    struct nw_event *scratch = NULL;
    uint32_t room = 0;
    j->source->want = NW_WANT_ADDRESSES;
    /* Blocks of events alone that come before access 0 belong to a piece that starts there. */
    enum nw_status s = j->first ? nw_nwt_seek(j->source, j->first, err) : nw_source_rewind(j->source, err);
    while (!s && !(s = nw_source_next(j->source, &b, err)) && !b.end) {
        if (b.first_access > j->first && b.first_access - j->first > j->count)
            break;
        if (b.event_count > room) {
            free(scratch);
            room = b.event_count;
            scratch = malloc(room * sizeof *scratch);
            if (!scratch) {
                s = nw_fail_nomem(err, "a trace block's events");
                break;
            }
        }
        uint64_t end = b.first_access + b.access_count;
        s = copy_part(j, &b, scratch, err);
        if (!s)
            s = report(j, end - j->first < j->total ? end - j->first : j->total, err);
    }
    free(scratch);
    return s;
}

enum nw_status nw_trace_cut(const char *from, const char *to, uint64_t first, uint64_t count,
                            nw_trace_progress_fn *progress, void *context, struct nw_nwt_summary *kept,
                            struct nw_error *err)
{
    struct job j = { .first = first, .count = count, .progress = progress, .context = context };
    enum nw_status s = nw_nwt_open(&j.source, from, err);
    if (s)
        return s;
    uint64_t all = nw_source_access_total(j.source);
    nw_trace_info_init(&j.info);
    if (first >= all && first) {
        s = nw_fail(err, NW_ERR_USAGE, "%s has no access %" PRIu64 ", only %" PRIu64 " accesses", from, first, all);
        goto out;
    }
    j.total = count < all - first ? count : all - first;
    s = nw_trace_info_copy(&j.info, nw_source_info(j.source), err);
    if (!s)
        s = carry_state(&j, err);
    if (first || j.total < all)
        j.info.instructions = 0; /* how many of them the piece has is not known */
    if (!s)
        s = nw_nwt_writer_create(&j.writer, to, &j.info, err);
    if (!s)
        s = copy_piece(&j, err);
    if (!s) {
        s = nw_nwt_writer_close(j.writer, err);
        j.writer = NULL;
    }
    if (!s && kept)
        s = nw_nwt_summarise(to, kept, NULL, err);
out:
    nw_nwt_writer_abandon(j.writer);
    nw_trace_info_fini(&j.info);
    nw_source_destroy(j.source);
    return s;
}
