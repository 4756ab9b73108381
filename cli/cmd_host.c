/* cmd_host.c - `nestwalk host`: what this machine is, and a machine profile of it. */
#include "cli.h"
#include "iommu_file.h"
#include <inttypes.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/host.h>
#include <nestwalk/scenarios/machine.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_PROFILE, OPT_CPUID, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_PROFILE] = { "profile", 'p', "OUT.xml", "Write a machine profile, with CPUID as the source of its values." },
    [OPT_CPUID] = { "cpuid", 'c', "FILE", "Another machine's CPUID leaves, as `cpuid -r -1` prints them." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write what was found as JSON, to a file or to standard output." },
    { 0 },
};

static enum nw_status load(const char *file, struct nw_cpuid *id, struct nw_error *err)
{
    uint8_t *bytes;
    size_t size;
    enum nw_status s = iommu_file_read(file, &bytes, &size, err);
    if (s)
        return s;
    char *text = calloc(1, size + 1);
    if (text) {
        memcpy(text, bytes, size);
        s = nw_cpuid_parse(id, text, file, err);
    } else {
        s = nw_fail_nomem(err, "CPUID leaves");
    }
    free(text);
    free(bytes);
    return s;
}

/* ---- text ---- */

static void pages_cell(uint64_t pages, char out[16])
{
    snprintf(out, 16, "%s%s%s", pages & NW_HOLDS_4K ? "4K " : "", pages & NW_HOLDS_2M ? "2M " : "",
             pages & NW_HOLDS_1G ? "1G" : "");
}

static void print_tlbs(const struct nw_host *h)
{
    static const char *const class_name[] = {
        [NW_TLB_DATA] = "data", [NW_TLB_INSTRUCTION] = "instruction", [NW_TLB_UNIFIED] = "unified"
    };
    if (!h->tlbs) {
        printf("CPUID tells of no TLB.\n");
        return;
    }
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "TLB level", "for", "pages", "entries", "ways", "source" },
                         (const bool[]){ true, false, false, true, true, false }, 6);
    for (size_t i = 0; i < h->tlbs; i++) {
        const struct nw_host_tlb *x = &h->tlb[i];
        char level[16], pages[16], entries[16], ways[16];
        snprintf(level, sizeof level, "%u", x->level);
        snprintf(entries, sizeof entries, "%u", x->entries);
        snprintf(ways, sizeof ways, x->ways == x->entries ? "full" : "%u", x->ways);
        pages_cell(x->pages, pages);
        nw_cli_table_row(t, (const char *const[]){ level, x->stores_only ? "stores" : class_name[x->class], pages,
                                                   entries, ways, x->source });
    }
    nw_cli_table_print(t, stdout);
}

static void print_caches(const struct nw_host *h)
{
    struct nw_cli_table *t = nw_cli_table_new((const char *const[]){ "cache level", "for", "KiB", "ways", "source" },
                                              (const bool[]){ true, false, true, true, false }, 5);
    for (size_t i = 0; i < h->caches; i++) {
        const struct nw_host_cache *c = &h->cache[i];
        char level[16], size[32], ways[16];
        snprintf(level, sizeof level, "%u", c->level);
        snprintf(size, sizeof size, "%" PRIu64, c->bytes >> 10);
        snprintf(ways, sizeof ways, "%u", c->ways);
        nw_cli_table_row(t, (const char *const[]){ level,
                                                   !c->data          ? "instruction"
                                                   : c->instructions ? "unified"
                                                                     : "data",
                                                   size, ways, c->source });
    }
    nw_cli_table_print(t, stdout);
}

static void print_text(const struct nw_host *h)
{
    printf("%s, %s family %u model 0x%x stepping %u (cpuid)\n",
           h->model_name[0] ? h->model_name : "a processor without a name", h->vendor, h->family, h->model,
           h->stepping);
    printf("addresses: %u bits physical, %u linear; 1G pages %s, 5 levels %s, PCID %s, INVPCID %s (cpuid)\n",
           h->physical_bits, h->linear_bits, h->page_1g ? "yes" : "no", h->la57 ? "yes" : "no", h->pcid ? "yes" : "no",
           h->invpcid ? "yes" : "no");
    printf("hypervisor above: %s (cpuid)\n", h->hypervisor[0] ? h->hypervisor : "none");
    if (h->kvm[0])
        printf("KVM below: %s (/sys/module, /dev/kvm)\n", h->kvm);
    if (h->huge_pages[0])
        printf("huge pages: %s (/sys/kernel/mm)\n", h->huge_pages);
    if (h->tsc_mhz > 0)
        printf("time-stamp counter: %.0f MHz (measured)\n", h->tsc_mhz);
    if (h->core_mhz > 0)
        printf("core clock, busy: %.0f MHz (measured: multiplications of 3 cycles)\n", h->core_mhz);
    for (size_t i = 0; i < h->capabilities; i++)
        printf("%s\n", h->capability[i]);
    for (size_t i = 0; i < h->unreads; i++)
        printf("not read: %s\n", h->unread[i]);
    printf("nearest shipped profile: %s\n\n", h->near ? h->near : "none");
    print_tlbs(h);
    if (h->caches) {
        printf("\n");
        print_caches(h);
    }
}

/* ---- the command ---- */

static enum nw_status write_profile(const struct nw_host *h, const char *path, struct nw_error *err)
{
    char notes[NW_HOST_NOTES][NW_HOST_TEXT];
    struct nw_config c;
    size_t count;
    nw_config_init(&c);
    enum nw_status s = nw_host_profile(h, &c, notes, &count, err);
    if (!s)
        s = nw_machine_save(&c, path, err);
    for (size_t i = 0; i < count && !s; i++)
        fprintf(stderr, "note: %s\n", notes[i]);
    nw_config_fini(&c);
    return s;
}

static enum nw_status show(const struct nw_host *h, const char *json, struct nw_error *err)
{
    if (json) {
        char *text;
        enum nw_status s = nw_host_json_text(h, &text, err);
        if (!s) {
            s = nw_report_write(json, text, strlen(text), err);
            free(text);
        }
        if (s)
            return s;
    }
    if (!json || strcmp(json, "-"))
        print_text(h);
    return NW_OK;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct nw_cpuid id = { 0 };
    struct nw_host host;
    struct nw_error err = { 0 };
    const char *value, *profile = NULL, *cpuid = NULL, *json = NULL;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_PROFILE: profile = value; break;
        case OPT_CPUID: cpuid = value; break;
        case OPT_JSON: json = value; break;
        default: return nw_cli_usage(self, "\"%s\": a file of CPUID leaves is named with --cpuid", value);
        }
    }
    enum nw_status s = cpuid ? load(cpuid, &id, &err) : nw_cpuid_read(&id, &err);
    if (!s) {
        nw_host_decode(&id, &host);
        if (!cpuid)
            nw_host_look_around(&host);
        s = show(&host, json, &err);
    }
    if (!s && profile)
        s = write_profile(&host, profile, &err);
    nw_cpuid_fini(&id);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

const struct nw_command nw_cmd_host = {
    .name = "host",
    .synopsis = "[--profile OUT.xml] [--cpuid FILE] [--json FILE|-]",
    .summary = "what this machine is: TLBs, caches, paging features, KVM; a profile of it",
    .details = "Decodes CPUID (Intel leaves 2, 4 and 18H, AMD functions 8000_0005h, 8000_0006h, 8000_0019h and "
               "8000_001Dh) and reads what Linux tells "
               "of KVM and huge pages. A profile has the arrays and caches that CPUID names, with the leaf as their "
               "source; what CPUID does not "
               "tell keeps its default. A hypervisor may hide TLBs: then there is no profile, and the nearest shipped "
               "one is named.\n\n"
               "Changes nothing on the machine.",
    .examples = "nestwalk host\n"
                "nestwalk host --profile here.xml && nestwalk run --machine here.xml --trace btree.nwt",
    .options = options,
    .run = run,
};
