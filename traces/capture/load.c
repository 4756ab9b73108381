#include "load.h"

#include "image.h"
#include <elf.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <string.h>

/* Page-table entry bits (SDM vol. 3, "4-Level Paging"). A and D are set from the start: no speculative walk can change a
 * table that the boot made. */
#define P  UINT64_C(0x001)
#define W  UINT64_C(0x002)
#define A  UINT64_C(0x020)
#define D  UINT64_C(0x040)
#define PS UINT64_C(0x080)
#define NX (UINT64_C(1) << 63)

enum {
    CR0_START = (int)0x80050033, /* PG AM WP NE ET MP PE */
    CR4_START = 0x620,           /* OSXMMEXCPT OSFXSR PAE */
    EFER_START = 0xd01,          /* NXE LMA LME SCE */
    RFLAGS_START = 2,
};

struct tables {
    struct vm *vm;
    uint64_t next_gpa; /* boot tables are taken from here on */
};

static uint64_t *word_at(const struct vm *vm, uint64_t gpa) { return (uint64_t *)(vm->memory + gpa); }

/* The entry of `address` in its table of `level` (0 = leaf table). The boot tables lie below the image, where there is room
 * for any memory size that vm_create is asked for: one directory page a gigabyte. */
static uint64_t *entry_make(struct tables *t, uint64_t root, uint64_t address, unsigned level)
{
    uint64_t table = root;
    for (unsigned at = 3;; at--) {
        uint64_t *entry = word_at(t->vm, table) + nw_field(address, 12 + 9 * at + 8, 12 + 9 * at);
        if (at == level)
            return entry;
        if (!*entry) {
            *entry = t->next_gpa | P | W | A;
            t->next_gpa += NW_PAGE_BYTES;
        }
        table = *entry & nw_mask(51, 12);
    }
}

static enum nw_status image_load(struct tables *t, uint64_t root, uint64_t *entry_point, uint64_t *end_gpa,
                                 struct nw_error *err)
{
    const unsigned char *image = nw_guest_image_start;
    size_t bytes = (size_t)(nw_guest_image_end - nw_guest_image_start);
    Elf64_Ehdr head;
    if (bytes < sizeof head)
        return nw_fail(err, NW_ERR_INTERNAL, "guest image: too short");
    memcpy(&head, image, sizeof head);
    *entry_point = head.e_entry;
    *end_gpa = NWG_KERNEL_GPA;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        memcpy(&part, image + head.e_phoff + i * sizeof part, sizeof part);
        if (part.p_type != PT_LOAD)
            continue;
        if (part.p_offset + part.p_filesz > bytes || part.p_paddr < NWG_KERNEL_GPA ||
            part.p_paddr + part.p_memsz > t->vm->memory_bytes)
            return nw_fail(err, NW_ERR_INTERNAL, "guest image: segment %u lies outside guest memory", i);
        memcpy(t->vm->memory + part.p_paddr, image + part.p_offset, part.p_filesz);
        uint64_t end = nw_align_up(part.p_memsz, NW_PAGE_BYTES);
        for (uint64_t at = 0; at < end; at += NW_PAGE_BYTES)
            *entry_make(t, root, part.p_vaddr + at, 0) =
                (part.p_paddr + at) | P | A | (part.p_flags & PF_W ? W | D : 0) | (part.p_flags & PF_X ? 0 : NX);
        if (part.p_paddr + end > *end_gpa)
            *end_gpa = part.p_paddr + end;
    }
    return NW_OK;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
    return (struct kvm_segment){
        .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = !code, .s = 1, .l = code, .g = 1
    };
}

static enum nw_status registers_set(struct vm *vm, uint64_t root, uint64_t entry_point, struct nw_error *err)
{
    struct kvm_sregs sregs;
    enum nw_status s = vm_sregs_get(vm, &sregs, err);
    if (s)
        return s;
    sregs.cr0 = (uint32_t)CR0_START;
    sregs.cr3 = root;
    sregs.cr4 = CR4_START;
    sregs.efer = EFER_START;
    sregs.cs = segment(NWG_SELECTOR_CODE, 11, true);
    sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = segment(NWG_SELECTOR_DATA, 3, false);
    sregs.gdt.base = NWG_GDT_GPA; /* reached through the identity map */
    sregs.gdt.limit = 4 * 8 - 1;
    sregs.idt.limit = 0; /* the kernel loads its own */
    if ((s = vm_sregs_set(vm, &sregs, err)))
        return s;
    struct kvm_regs regs = { .rip = entry_point, .rflags = RFLAGS_START };
    return vm_regs_set(vm, &regs, err);
}

enum nw_status guest_load(struct vm *vm, const struct nwg_param *param, struct nw_error *err)
{
    uint64_t root = NWG_BOOT_TABLES_GPA, entry_point = 0, end_gpa = 0;
    struct tables t = { vm, root + NW_PAGE_BYTES };
    enum nw_status s = image_load(&t, root, &entry_point, &end_gpa, err);
    if (s)
        return s;
    for (uint64_t gpa = 0; gpa < vm->memory_bytes; gpa += UINT64_C(1) << NW_PAGE_2M_LOG2) {
        if (t.next_gpa + 2 * NW_PAGE_BYTES > NWG_KERNEL_GPA)
            return nw_fail(err, NW_ERR_INTERNAL, "guest memory of %llu MiB does not fit the boot tables",
                           (unsigned long long)(vm->memory_bytes >> 20));
        *entry_make(&t, root, gpa, 1) = gpa | P | W | A | D | PS | NX;
    }
    uint64_t *gdt =
        word_at(vm, NWG_GDT_GPA); /* SDM vol. 3, "Segment Descriptors"; accessed, so that no load writes them */
    gdt[NWG_SELECTOR_CODE / 8] = UINT64_C(0x00af9b000000ffff);
    gdt[NWG_SELECTOR_DATA / 8] = UINT64_C(0x00cf93000000ffff);
    struct nwg_param *p = guest_param(vm);
    *p = *param;
    p->magic = NWG_PARAM_MAGIC;
    p->memory_bytes = vm->memory_bytes;
    p->free_gpa = end_gpa;
    return registers_set(vm, root, entry_point, err);
}
