#include "zipf.h"

#include <math.h>
#include <nestwalk/base/bits.h>

void nw_zipf_init(struct nw_zipf *z, uint64_t n, double exponent)
{
    *z = (struct nw_zipf){ .n = n, .exponent = exponent, .octaves = nw_log2_floor(n) + 1 };
    double sum = 0;
    for (unsigned k = 0; k < z->octaves; k++)
        z->cumulative[k] = sum += exp2(k * (1.0 - exponent));
}

uint64_t nw_zipf_draw(const struct nw_zipf *z, struct nw_rng *rng)
{
    for (;;) {
        double u = nw_rng_unit(rng) * z->cumulative[z->octaves - 1];
        unsigned k = 0;
        while (k < z->octaves - 1 && u >= z->cumulative[k])
            k++;
        uint64_t first = UINT64_C(1) << k, rank = first + (nw_rng_next(rng) & (first - 1));
        double accept = pow((double)first / (double)rank, z->exponent);
        if (nw_rng_unit(rng) < accept && rank <= z->n)
            return rank;
    }
}
