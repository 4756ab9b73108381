/* reports_internal.h - what the files of this folder share. Never leaves it. */
#ifndef NESTWALK_REPORTS_INTERNAL_H
#define NESTWALK_REPORTS_INTERNAL_H

#include <jansson.h>
#include <nestwalk/reports/run.h>
#include <stdarg.h>
#include <stddef.h>

/* ---- text.c: a growing string. After a failed allocation `failed` is set and everything else is a no-op, so that only the
 * end of a long piece of writing needs a check. */
struct text {
    char *p; /* NUL-terminated once anything was written */
    size_t bytes, capacity;
    bool failed;
};
void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const char *s, size_t bytes);
void text_printf(struct text *t, const char *format, ...) NW_PRINTF(2, 3);
void text_add_html(struct text *t, const char *s); /* escaped for element content and quoted attributes */
void text_add_csv(struct text *t, const char *s);  /* quoted where it must be (RFC 4180) */
/* Hands the string over (free() it), or NW_ERR_NOMEM naming `what`; *t is empty afterwards. */
enum nw_status text_take(struct text *t, char **out, const char *what, struct nw_error *err) NW_MUST_USE;
void text_free(struct text *t);

/* Copies with every byte that is not well-formed UTF-8 replaced by U+FFFD; never cuts a character. */
void utf8_copy(char *out, size_t out_size, const char *in);
char *utf8_dup(const char *in); /* NULL when out of memory */

/* The shortest decimal form that reads back equal: "0.1", "24", "1e+30". NaN and infinities, which JSON lacks: "null". */
void real_text(double v, char out[32]);

/* A DOT string, quoted. draw_walk.c */
void dot_string(struct text *t, const char *s);

/* ---- json_text.c: a jansson tree as text. Two spaces a level; arrays and objects that hold no other container and fit, on one line. */
void json_write(struct text *t, const json_t *value);
json_t *json_count(uint64_t v);      /* as an integer, or as a real above INT64_MAX */
json_t *json_number(double v);       /* null when it is no number */
json_t *json_text(const char *utf8); /* NULL is "" */
json_t *json_hex(uint64_t v);        /* "0x1f": as text, as JSON numbers do not hold 64 bits exactly */
/* object[key] = value, taking `value`; false when out of memory (value NULL included). */
bool json_put(json_t *object, const char *key, json_t *value);
json_t *run_json(const struct nw_run *run);                 /* NULL when out of memory */
json_t *runs_json(const struct nw_run *runs, size_t count); /* the whole document */

/* ---- run.c: building a record piece by piece; false when out of memory. Texts are copied and made UTF-8. */
bool run_add_metric(struct nw_run *run, const struct nw_metric *m);
bool run_add_bucket(struct nw_run *run, uint64_t upper, uint64_t count);
bool run_add_parameter(struct nw_run *run, const char *path, const char *value, const char *unit, const char *source);

/* Points are then added to the series that was added last. */
bool run_add_series(struct nw_run *run, const char *path, const char *x_unit, const char *unit, const char *doc);
bool run_add_point(struct nw_run *run, double x, double y);

/* ---- assets, made from reports/html/ and the chart library at build time (html/embed.cmake); NUL-terminated */
extern const unsigned char nw_asset_frame[], nw_asset_template[], nw_asset_guests[], nw_asset_scripts[],
    nw_asset_style[], nw_asset_script[], nw_asset_chart[], nw_asset_checkstyle[], nw_asset_checkscript[];
extern const size_t nw_asset_chart_bytes;

/* proof_json.c: what was proved of an intent; the request that shows a finding. NULL when out of memory. */
struct nw_intent;
struct nw_proved;
struct nw_iommu_witness;
json_t *proof_json(const struct nw_intent *in, const struct nw_proved *proved);
json_t *witness_json(const struct nw_iommu_witness *w);

/* "rwux" of a set of enum nw_stale_right; out holds 8 bytes. */
void stale_rights_text(unsigned rights, char out[8]);

#endif
