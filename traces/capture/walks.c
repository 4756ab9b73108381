#include "walks.h"
enum nw_status walk_log_open(struct walk_log **out, struct nw_error *err){(void)out;return nw_fail(err,NW_ERR_ENV,"x");}
enum nw_status walk_log_start(struct walk_log *log, struct nw_error *err){(void)log;(void)err;return NW_OK;}
enum nw_status walk_log_stop(struct walk_log *log, struct nw_error *err){(void)log;(void)err;return NW_OK;}
bool walk_log_full(const struct walk_log *log){(void)log;return true;}
void walk_log_close(struct walk_log *log){(void)log;}
struct walk_aligner;
enum nw_status walk_aligner_create(struct walk_aligner **a, const struct walk_log *log, struct sink *to,
                                   struct nw_capture_result *count, struct sink **out, struct nw_error *err) {(void)a;(void)log;(void)to;(void)count;(void)out;(void)err;return NW_OK;}
void walk_aligner_destroy(struct walk_aligner *a){(void)a;}
