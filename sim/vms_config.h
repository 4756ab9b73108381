/* vms_config.h - where a value of a configuration of several guests was set. */
#ifndef NW_SIM_VMS_CONFIG_H
#define NW_SIM_VMS_CONFIG_H

#include <nestwalk/sim/vms.h>

/* The last setting that reaches this path: itself, or one for all works of its guest. "default" when there is none. */
const char *vms_config_source(const struct nw_vms_config *c, const char *path);

#endif
