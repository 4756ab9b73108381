/* lspci: -v, -vvv, -n, -nn, -x to -xxxx, in any mix. Its words are those of pciutils, ls-caps.c and ls-ecaps.c. */
#include "function.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum capability { IN_OTHER, IN_ACS, IN_ATS, IN_PRI, IN_PASID, IN_SRIOV };
struct state {
    struct nw_dump_function *f;
    enum capability in;
    uint8_t config[NW_CONFIG_EXTENDED_BYTES];
    size_t config_bytes;
};

/* Classes by their names in pci.ids, for texts without numbers. */
static const struct {
    const char *name;
    uint32_t class_code;
} classes[] = {
    { "VGA compatible controller:", 0x030000 },
    { "3D controller:", 0x030200 },
    { "Display controller:", 0x038000 },
    { "USB controller:", 0x0c0300 },
    { "Host bridge:", 0x060000 },
    { "ISA bridge:", 0x060100 },
    { "PCI bridge:", 0x060400 },
    { "Non-Transparent Bridge:", 0x068000 },
    { "Ethernet controller:", 0x020000 },
    { "IOMMU:", 0x080600 },
};

/* "VGA compatible controller [0300]: ...", "0300: 8086:3e92", "VGA compatible controller: ..." */
static void read_class(struct nw_dump_function *f, const char *what)
{
    unsigned class, vendor, device;
    const char *bracket = strstr(what, " [");
    if (sscanf(what, " %4x: %4x:%4x", &class, &vendor, &device) == 3) {
        nw_function_set_class(f, class << 8);
        f->vendor = (uint16_t)vendor;
        f->device = (uint16_t)device;
        return;
    }
    if (bracket && sscanf(bracket, " [%4x]:", &class) == 1) {
        nw_function_set_class(f, class << 8);
        return;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(classes); i++)
        if (strstr(what, classes[i].name)) {
            nw_function_set_class(f, classes[i].class_code);
            return;
        }
    f->bridge |= strstr(what, "bridge") != NULL;
}

static void read_express(struct nw_dump_function *f, const char *line)
{
    static const struct {
        const char *name;
        enum nw_express_type type;
    } types[] = { { "Root Port", NW_EXPRESS_ROOT_PORT },
                  { "Upstream Port", NW_EXPRESS_UPSTREAM_PORT },
                  { "Downstream Port", NW_EXPRESS_DOWNSTREAM_PORT },
                  { "PCI-Express to PCI/PCI-X Bridge", NW_EXPRESS_TO_PCI_BRIDGE },
                  { "PCI/PCI-X to PCI-Express Bridge", NW_EXPRESS_FROM_PCI_BRIDGE },
                  { "Root Complex Integrated Endpoint", NW_EXPRESS_INTEGRATED_ENDPOINT },
                  { "Root Complex Event Collector", NW_EXPRESS_EVENT_COLLECTOR },
                  { "Legacy Endpoint", NW_EXPRESS_LEGACY_ENDPOINT },
                  { "Endpoint", NW_EXPRESS_ENDPOINT } };
    for (size_t i = 0; i < NW_ARRAY_LEN(types); i++)
        if (strstr(line, types[i].name)) {
            nw_function_set_express(f, types[i].type);
            return;
        }
}

static void read_capability(struct state *s, const char *line)
{
    static const struct {
        const char *name;
        enum capability in;
    } known[] = { { "Access Control Services", IN_ACS },
                  { "Address Translation Service", IN_ATS },
                  { "Page Request Interface", IN_PRI },
                  { "Process Address Space ID", IN_PASID },
                  { "Single Root I/O Virtualization", IN_SRIOV } };
    s->in = IN_OTHER;
    s->f->has_capabilities |= strstr(line, "Capabilities: [") != NULL; /* not "<access denied>" */
    for (size_t i = 0; i < NW_ARRAY_LEN(known); i++)
        if (strstr(line, known[i].name)) {
            /* Those stand behind the ordinary capabilities: who sees one sees all. */
            s->f->has_extended = true;
            s->in = known[i].in;
        }
    s->f->has_acs |= s->in == IN_ACS;
    s->f->has_ats |= s->in == IN_ATS;
    s->f->has_pri |= s->in == IN_PRI;
    if (strstr(line, "] Express"))
        read_express(s->f, line);
    if (strstr(line, "Capabilities: [1") && strstr(line, " v"))
        s->f->has_extended = true; /* at 0x100 or behind it, with a version */
}

static void read_control(struct state *s, const char *line)
{
    struct nw_dump_function *f = s->f;
    const char *at;
    if (s->in == IN_ACS && (at = strstr(line, "ACSCtl:")) != NULL)
        nw_function_set_acs(f, (uint8_t)((strstr(at, "SrcValid+") ? NW_ACS_SOURCE_VALIDATION : 0) |
                                         (strstr(at, "TransBlk+") ? NW_ACS_TRANSLATION_BLOCKING : 0) |
                                         (strstr(at, "ReqRedir+") ? NW_ACS_REQUEST_REDIRECT : 0) |
                                         (strstr(at, "CmpltRedir+") ? NW_ACS_COMPLETION_REDIRECT : 0) |
                                         (strstr(at, "UpstreamFwd+") ? NW_ACS_UPSTREAM_FORWARDING : 0)));
    if (s->in == IN_ATS && (at = strstr(line, "ATSCtl:")) != NULL)
        f->ats_on = strstr(at, "Enable+");
    if (s->in == IN_PASID && (at = strstr(line, "PASIDCtl:")) != NULL)
        f->pasid_on = strstr(at, "Enable+");
    if (s->in == IN_PRI && (at = strstr(line, "PRICtl:")) != NULL)
        f->pri_on = strstr(at, "Enable+");
    if (s->in == IN_PRI && (at = strstr(line, "PRISta:")) != NULL)
        f->pri_response_pasid = strstr(at, "PASID+");
    if (s->in == IN_PRI && (at = strstr(line, "Page Request Allocation:")) != NULL)
        f->pri_credits = (uint32_t)strtoul(at + strlen("Page Request Allocation:"), NULL, 16);
    if (s->in == IN_SRIOV && (at = strstr(line, "Number of VFs:")) != NULL)
        f->vfs = (uint16_t)strtoul(at + strlen("Number of VFs:"), NULL, 10);
    if (s->in == IN_SRIOV && (at = strstr(line, "VF offset:")) != NULL) {
        unsigned offset = 0, stride = 0;
        if (sscanf(at, "VF offset: %u, stride: %u", &offset, &stride) == 2) {
            f->vf_offset = (uint16_t)offset;
            f->vf_stride = (uint16_t)stride;
        }
    }
}

static void read_detail(struct state *s, const char *line)
{
    struct nw_dump_function *f = s->f;
    const char *at;
    unsigned secondary, subordinate, group;
    if ((at = strstr(line, "Control: I/O")) != NULL) {
        f->has_command = true;
        f->bus_master = strstr(at, "BusMaster+");
    }
    if ((at = strstr(line, "secondary=")) != NULL &&
        sscanf(at, "secondary=%2x, subordinate=%2x", &secondary, &subordinate) == 2) {
        f->has_buses = true;
        f->secondary = (uint8_t)secondary;
        f->subordinate = (uint8_t)subordinate;
    }
    if ((at = strstr(line, "Kernel driver in use:")) != NULL)
        snprintf(f->driver, sizeof f->driver, "%.31s",
                 at + strlen("Kernel driver in use:") + strspn(at + strlen("Kernel driver in use:"), " \t"));
    if ((at = strstr(line, "IOMMU group:")) != NULL && sscanf(at, "IOMMU group: %u", &group) == 1) {
        f->has_group = true;
        f->group = group;
    }
    if (strstr(line, "Capabilities:"))
        read_capability(s, line);
    else
        read_control(s, line);
}

/* "00: 86 80 05 8a ...": true when it is such a row. */
static bool read_row(struct state *s, const struct reader *r)
{
    uint64_t at, byte;
    size_t length = strlen(r->word[0]);
    if (r->count < 2 || length < 3 || length > 4 || r->word[0][length - 1] != ':' || !nw_reader_hex(r->word[0], &at) ||
        strlen(r->word[1]) != 2)
        return false;
    for (unsigned i = 1; i < r->count && at + i - 1 < sizeof s->config; i++) {
        if (strlen(r->word[i]) != 2 || !nw_reader_hex(r->word[i], &byte))
            return false;
        s->config[at + i - 1] = (uint8_t)byte;
        if (at + i > s->config_bytes)
            s->config_bytes = at + i;
    }
    return true;
}

static void finish(struct state *s)
{
    if (s->f && s->config_bytes)
        nw_function_read_config(s->f, s->config, s->config_bytes);
    s->config_bytes = 0;
    s->f = NULL;
}

static enum nw_status lspci(struct reader *r, struct nw_error *err)
{
    static const struct state none = { .f = NULL };
    struct state *s = malloc(sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "a function's configuration");
    *s = none;
    enum nw_status status = NW_OK;
    while (!status && nw_reader_next(r)) {
        uint16_t segment, bdf;
        if (r->line[0] != ' ' && r->line[0] != '\t' && r->count && nw_reader_function(r->word[0], &segment, &bdf)) {
            finish(s);
            memset(s->config, 0, sizeof s->config);
            s->f = nw_function_at(r, segment, bdf);
            if (!s->f) {
                status = nw_fail_nomem(err, "the functions of a dump");
                break;
            }
            const char *what = r->line + strlen(r->word[0]);
            snprintf(s->f->what, sizeof s->f->what, "%.95s", what + strspn(what, " \t"));
            read_class(s->f, what);
            s->in = IN_OTHER;
            r->items++;
        } else if (s->f && r->count && !read_row(s, r)) {
            if (r->line[0] == ' ' || r->line[0] == '\t')
                read_detail(s, r->line);
            else
                finish(s); /* a function of a domain that no unit sees, such as 10000:e0:06.0 of VMD */
        }
    }
    finish(s);
    free(s);
    return status;
}

static bool begins(const struct reader *r)
{
    uint16_t segment, bdf;
    return r->line[0] != ' ' && r->line[0] != '\t' && r->count > 1 && nw_reader_function(r->word[0], &segment, &bdf);
}

const struct text_format nw_text_lspci = { .name = "lspci", .begins = begins, .parse = lspci };
