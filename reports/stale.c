#include "reports_internal.h"
#include <inttypes.h>
#include <nestwalk/traces/block.h>
#include <stdio.h>
#include <string.h>

void stale_rights_text(unsigned rights, char out[8])
{
    snprintf(out, 8, "r%s%s%s", rights & NW_STALE_WRITE ? "w" : "", rights & NW_STALE_EXECUTE ? "x" : "",
             rights & NW_STALE_USER ? "u" : "");
}

void nw_stale_access_text(const struct nw_stale_use *u, char *out, size_t out_size)
{
    static const char *const type[] = { "load", "store", "fetch", "access" };
    snprintf(out, out_size, "%s, %s", type[nw_kind_type(u->kind)], nw_kind_user(u->kind) ? "user" : "supervisor");
}

/* What the tables say. */
static void verdict(const struct nw_stale_use *u, char *out, size_t out_size)
{
    if (u->granted)
        snprintf(out, out_size, "the page is at HPA 0x%" PRIx64, u->hpa);
    else
        snprintf(out, out_size, "%s", u->outcome);
}

void nw_stale_sentence(const struct nw_stale_use *u, char *out, size_t out_size)
{
    char access[32], says[160], write[200];
    nw_stale_access_text(u, access, sizeof access);
    verdict(u, says, sizeof says);
    if (u->change_known)
        snprintf(write, sizeof write,
                 "The table entry at GPA 0x%" PRIx64 " was changed from 0x%" PRIx64 " to 0x%" PRIx64
                 " before access %" PRIu64 ", and nothing has invalidated %s since.",
                 u->change.gpa, u->change.old_word, u->change.new_word, u->change.before_access,
                 u->through_walk_cache ? "the paging-structure caches" : "the translation");
    else
        snprintf(write, sizeof write,
                 "No write to an entry on its way is known: another address space's translation was kept.");
    snprintf(out, out_size,
             "Access %" PRIu64 " (%s) to GVA 0x%" PRIx64 " went to HPA 0x%" PRIx64
             " by %s, but the page tables say: %s. %s",
             u->access, access, u->gva, u->cached_hpa,
             u->through_walk_cache ? "a stale walk cache" : "a cached translation", says, write);
}
