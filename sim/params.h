/* params.h - private to sim/: finding a parameter's row and place. */
#ifndef NW_SIM_PARAMS_H
#define NW_SIM_PARAMS_H

#include <nestwalk/sim/config.h>

/* The row of `path` and where its value stands in `c`; NULL when there is none. */
const struct nw_param *nw_param_find(const struct nw_config *c, const char *path, const void **place);

/* Text of the value at `place`. */
void nw_param_format(const struct nw_param *p, const void *place, char *out, size_t out_size);

/* Parses `value` and stores it; NW_ERR_USAGE says what is allowed. */
enum nw_status nw_param_parse(const struct nw_param *p, const char *path, const char *value, void *place,
                              struct nw_error *err) NW_MUST_USE;

#endif
