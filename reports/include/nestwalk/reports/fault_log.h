/* fault_log.h - explained faults as JSON: { "lines", "understood", "faults": [{ "title", "source", "device", "write", "reason", "address", "lowest",
 * "highest", "count", "first_line", "last_line", "meaning", "about": [...], "entries": [...], "causes": [...], "actions": [...] }] }. */
#ifndef NESTWALK_REPORTS_FAULT_LOG_H
#define NESTWALK_REPORTS_FAULT_LOG_H

#include <nestwalk/iommu/fault_log.h>

/* `account` has log->count elements. free() it. */
enum nw_status nw_fault_log_json_text(const struct nw_fault_log *log, const struct nw_fault_account *account,
                                      char **out, struct nw_error *err) NW_MUST_USE;

#endif
