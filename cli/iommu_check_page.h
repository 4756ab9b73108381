/* iommu_check_page.h - the page and the picture of `nestwalk iommu check`. */
#ifndef NESTWALK_CLI_IOMMU_CHECK_PAGE_H
#define NESTWALK_CLI_IOMMU_CHECK_PAGE_H

#include "iommu_inputs.h"

/* Each path may be NULL, or "-". */
enum nw_status iommu_check_page_write(const struct iommu_inputs *in, const bool *accepted, const char *html,
                                      const char *dot, const char *svg, struct nw_error *err) NW_MUST_USE;

#endif
