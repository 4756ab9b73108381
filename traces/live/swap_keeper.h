/* swap_keeper.h - a swap area for as long as this process wants it. */
#ifndef NESTWALK_LIVE_SWAP_KEEPER_H
#define NESTWALK_LIVE_SWAP_KEEPER_H

#include <nestwalk/traces/live_reclaim.h>

/* Makes the area (NW_RECLAIM_ZRAM, NW_RECLAIM_SWAP_FILE in `directory`) in a child process, which waits for this one to close host->keeper or to end, and takes it down then.
 * NW_ERR_ENV: the kernel refuses; nothing is left. */
enum nw_status swap_keeper_start(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                                 uint64_t bytes, struct nw_error *err) NW_MUST_USE;
enum nw_status swap_keeper_stop(struct nw_live_reclaim_host *host, struct nw_error *err) NW_MUST_USE;

#endif
