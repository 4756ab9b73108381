#include <nestwalk/base/bits.h>
#include <nestwalk/base/rng.h>

struct nw_rng nw_rng_seeded(uint64_t seed)
{
    struct nw_rng r;
    for (int i = 0; i < 4; i++)
        r.s[i] = nw_mix64(seed += UINT64_C(0x9e3779b97f4a7c15));
    return r;
}

struct nw_rng nw_rng_for(uint64_t seed, const char *component)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a of the name */
    for (; *component; component++)
        h = (h ^ (unsigned char)*component) * UINT64_C(0x100000001b3);
    return nw_rng_seeded(nw_mix64(seed) ^ h);
}
