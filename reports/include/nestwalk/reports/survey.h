/* survey.h - who reaches what through a remapping unit: as JSON, and as a picture. docs/iommu.md describes both. */
#ifndef NESTWALK_REPORTS_SURVEY_H
#define NESTWALK_REPORTS_SURVEY_H

#include <nestwalk/iommu/reach.h>

enum nw_survey_kind { NW_SURVEY_VTD, NW_SURVEY_AMDVI };

/* "second stage", "host", ...: what translates the domain's requests. */
const char *nw_survey_translation(enum nw_survey_kind kind, const struct nw_survey_domain *d);
/* Why a requester reaches nothing; NULL for a number that is no reason. */
const char *nw_survey_reason(enum nw_survey_kind kind, unsigned reason);
/* "00:1f.3", "00:1f.3 PASID 0x5"; out holds 32 bytes. */
void nw_survey_requester_text(const struct nw_survey_requester *r, char out[32]);
/* "4 KiB", "2 MiB", "1.5 GiB"; out holds 24 bytes. */
void nw_survey_bytes_text(uint64_t bytes, char out[24]);

/* free() it. NW_ERR_NOMEM. Of each domain up to `most` ranges of memory are listed. */
enum nw_status nw_survey_json_text(enum nw_survey_kind kind, struct nw_survey *s, unsigned most, char **out,
                                   struct nw_error *err) NW_MUST_USE;
/* DOT text: requesters, the domains that they are in, and their windows, `most` of each domain. */
enum nw_status nw_survey_dot_text(enum nw_survey_kind kind, struct nw_survey *s, unsigned most, char **out,
                                  struct nw_error *err) NW_MUST_USE;

#endif
