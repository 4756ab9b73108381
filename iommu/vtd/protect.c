/* Memory that devices must not reach, whatever is mapped: VT-d, "Protected Memory Enable Register" and the four
 * registers behind it. */
#include "unit.h"

/* The registers' low 21 bits do not exist: a base has zeros there, a limit ones, so regions are whole 2 MiB. With the base
 * above the limit there is no region. */
static bool within(uint64_t address, uint64_t base, uint64_t limit)
{
    return address >= base && address <= (limit | nw_mask(20, 0));
}

bool vtd_protected(const struct nw_vtd_unit *u, uint64_t address)
{
    uint64_t cap = u->config.unit.cap;
    if (!(u->pmen & NW_VTD_PMEN_PRS))
        return false;
    return ((cap & NW_VTD_CAP_PLMR) && within(address, u->plmbase, u->plmlimit)) ||
           ((cap & NW_VTD_CAP_PHMR) && within(address, u->phmbase, u->phmlimit));
}
