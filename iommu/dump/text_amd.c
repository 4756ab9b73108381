/* The texts of AMD-Vi in debugfs: mmio, capability, cmdbuf, devtbl, irqtbl. */
#include "reader.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ".../iommu03/mmio": 3. */
static int unit_of_file(const char *file)
{
    int unit = NW_DUMP_AMD_UNNAMED;
    for (const char *at = strstr(file, "iommu"); at; at = strstr(at + 5, "iommu")) {
        const size_t digits = strspn(at + 5, "0123456789");
        if (digits && digits <= 4 && at[5 + digits] == '/')
            unit = (int)strtol(at + 5, NULL, 10);
    }
    return unit;
}

/* ---- mmio, capability --------------------------------------------------------------------------- */

/* "Offset:0x18 Value:0x0000000000003005"; *digits: of the value, 16 in mmio and 8 in capability. */
static bool register_line(const struct reader *r, uint64_t *offset, uint64_t *value, size_t *digits)
{
    if (r->count != 2 || strncmp(r->word[0], "Offset:0x", 9) != 0 || strncmp(r->word[1], "Value:0x", 8) != 0)
        return false;
    *digits = strlen(r->word[1] + 8);
    return nw_reader_hex(r->word[0] + 9, offset) && nw_reader_hex(r->word[1] + 8, value);
}

static bool is_register_line(const struct reader *r, size_t digits)
{
    uint64_t offset, value;
    size_t found;
    return register_line(r, &offset, &value, &found) && (found <= 8) == (digits <= 8);
}
static bool mmio_begins(const struct reader *r) { return is_register_line(r, 16); }
static bool capability_begins(const struct reader *r) { return is_register_line(r, 8); }

static enum nw_status registers(struct reader *r, bool capability, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        uint64_t offset, value;
        size_t digits;
        if (!r->count || strncmp(r->word[0], "Offset", 6) != 0)
            continue;
        if (!register_line(r, &offset, &value, &digits) || offset > UINT32_MAX || digits > (capability ? 8 : 16))
            return nw_reader_bad(r, err, "\"Offset:0x... Value:0x...\"");
        struct nw_dump_amd_register *o = nw_reader_grow(&r->d->amd.reg, &r->d->amd.regs, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the registers of a dump");
        *o = (struct nw_dump_amd_register){ .unit = unit_of_file(r->file),
                                            .capability = capability,
                                            .offset = (uint32_t)offset,
                                            .value = value,
                                            .place = nw_reader_place(r) };
        r->items++;
    }
    return NW_OK;
}
static enum nw_status mmio(struct reader *r, struct nw_error *err) { return registers(r, false, err); }
static enum nw_status capability(struct reader *r, struct nw_error *err) { return registers(r, true, err); }

/* ---- cmdbuf ------------------------------------------------------------------------------------- */

/* "CMD Buffer Head Offset:339 Tail Offset:339" */
static bool buffer_line(const struct reader *r, unsigned *head, unsigned *tail)
{
    return sscanf(r->line, " CMD Buffer Head Offset:%u Tail Offset:%u", head, tail) == 2;
}
static bool cmdbuf_begins(const struct reader *r)
{
    unsigned head, tail;
    return buffer_line(r, &head, &tail);
}

/* "  0: DW0 DW1 DW2 DW3" */
static enum nw_status command_row(struct reader *r, struct nw_dump_command *out, struct nw_error *err)
{
    uint64_t dw[4] = { 0 };
    bool sound = r->count == 5 && strspn(r->word[0], "0123456789") == strlen(r->word[0]) - 1;
    for (unsigned i = 0; sound && i < 4; i++)
        sound = nw_reader_hex(r->word[i + 1], &dw[i]) && dw[i] <= UINT32_MAX;
    if (!sound)
        return nw_reader_bad(r, err, "an index, a colon and a command of four 32-bit words");
    *out = (struct nw_dump_command){ .unit = unit_of_file(r->file),
                                     .index = (unsigned)strtoul(r->word[0], NULL, 10),
                                     .word = { dw[0] | dw[1] << 32, dw[2] | dw[3] << 32 },
                                     .place = nw_reader_place(r) };
    return NW_OK;
}

static enum nw_status cmdbuf(struct reader *r, struct nw_error *err)
{
    struct nw_dump_amd *a = &r->d->amd;
    bool begun = false;
    while (nw_reader_next(r)) {
        struct nw_dump_command c;
        unsigned head, tail;
        if (buffer_line(r, &head, &tail)) {
            struct nw_dump_command_buffer *b = nw_reader_grow(&a->buffer, &a->buffers, sizeof *b);
            if (!b)
                return nw_fail_nomem(err, "the command buffers of a dump");
            *b = (struct nw_dump_command_buffer){
                .unit = unit_of_file(r->file), .head = head, .tail = tail, .place = nw_reader_place(r)
            };
            begun = true;
            continue;
        }
        if (!r->count || !isdigit((unsigned char)*r->word[0]) || r->word[0][strlen(r->word[0]) - 1] != ':')
            continue;
        if (!begun)
            return nw_reader_bad(r, err, "\"CMD Buffer Head Offset:... Tail Offset:...\" before the first command");
        enum nw_status s = command_row(r, &c, err);
        if (s)
            return s;
        r->items++;
        a->buffer[a->buffers - 1].slots++;
        if (!(c.word[0] | c.word[1]))
            continue;
        a->buffer[a->buffers - 1].used++;
        struct nw_dump_command *o = nw_reader_grow(&a->command, &a->commands, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the commands of a dump");
        *o = c;
    }
    return NW_OK;
}

/* ---- devtbl ------------------------------------------------------------------------------------- */

static bool devtbl_begins(const struct reader *r)
{
    return r->count >= 5 && !strcmp(r->word[0], "DeviceId") && !strcmp(r->word[1], "QWORD[3]");
}

/* "0000:01:00.0 Q3 Q2 Q1 Q0 iommu3" */
static enum nw_status devtbl(struct reader *r, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        struct nw_dump_dte row = { .unit = NW_DUMP_AMD_UNNAMED };
        if (!r->count || !nw_reader_function(r->word[0], &row.segment, &row.device_id))
            continue;
        bool sound = r->count >= 5;
        for (unsigned i = 0; sound && i < 4; i++)
            sound = nw_reader_hex(r->word[4 - i], &row.word[i]);
        if (!sound)
            return nw_reader_bad(r, err, "SSSS:BB:DD.F and a device table entry of four words, the highest first");
        if (r->count >= 6 && !strncmp(r->word[5], "iommu", 5) && isdigit((unsigned char)r->word[5][5]))
            row.unit = (int)(strtoul(r->word[5] + 5, NULL, 10) & 0xffff);
        row.place = nw_reader_place(r);
        struct nw_dump_dte *o = nw_reader_grow(&r->d->amd.dte, &r->d->amd.dtes, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the device table entries of a dump");
        *o = row;
        r->items++;
    }
    return NW_OK;
}

/* ---- irqtbl ------------------------------------------------------------------------------------- */

/* "DeviceId 0000:01:00.0" */
static bool device_line(const struct reader *r, uint16_t *segment, uint16_t *device_id)
{
    return r->count == 2 && !strcmp(r->word[0], "DeviceId") && nw_reader_function(r->word[1], segment, device_id);
}
static bool irqtbl_begins(const struct reader *r)
{
    uint16_t segment, device_id;
    return device_line(r, &segment, &device_id);
}

/* "IRT[0000] HIGH LOW", or "IRT[0000] WORD" of 32 bits. */
static enum nw_status irqtbl(struct reader *r, struct nw_error *err)
{
    struct nw_dump_amd_irte next = { .wide = false };
    bool begun = false;
    while (nw_reader_next(r)) {
        if (device_line(r, &next.segment, &next.device_id)) {
            begun = true;
            continue;
        }
        if (!r->count || sscanf(r->word[0], "IRT[%u]", &next.index) != 1)
            continue;
        next.wide = r->count == 3;
        next.word[1] = 0;
        next.place = nw_reader_place(r);
        if (!begun)
            return nw_reader_bad(r, err, "\"DeviceId SSSS:BB:DD.F\" before the first entry");
        if ((r->count != 2 && r->count != 3) || !nw_reader_hex(r->word[r->count - 1], &next.word[0]) ||
            (next.wide ? !nw_reader_hex(r->word[1], &next.word[1]) : next.word[0] > UINT32_MAX))
            return nw_reader_bad(r, err, "an index and an interrupt remapping entry, HIGH and LOW, or one of 32 bits");
        struct nw_dump_amd_irte *o = nw_reader_grow(&r->d->amd.irte, &r->d->amd.irtes, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the interrupt entries of a dump");
        *o = next;
        r->items++;
    }
    return NW_OK;
}

const struct text_format nw_text_amd_mmio = { .name = "amd mmio", .begins = mmio_begins, .parse = mmio };
const struct text_format nw_text_amd_capability = { .name = "amd capability",
                                                    .begins = capability_begins,
                                                    .parse = capability };
const struct text_format nw_text_amd_cmdbuf = { .name = "amd cmdbuf", .begins = cmdbuf_begins, .parse = cmdbuf };
const struct text_format nw_text_amd_devtbl = { .name = "amd devtbl", .begins = devtbl_begins, .parse = devtbl };
const struct text_format nw_text_amd_irqtbl = { .name = "amd irqtbl", .begins = irqtbl_begins, .parse = irqtbl };
