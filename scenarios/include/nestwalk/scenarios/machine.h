/* machine.h - machine profiles: XML files that say what a processor's translation hardware is, each value with its source.
 *
 *     struct nw_config c;
 *     nw_config_init(&c);
 *     if ((s = nw_machine_load("amd-zen4", NULL, &c, err))) return s;         // shipped: part of the library
 *     if ((s = nw_machine_load("./my-laptop.xml", NULL, &c, err))) return s;  // or any file
 *
 * A profile gives every parameter of group NW_GROUP_MACHINE; one that it leaves out has its default, and "default" as its source.
 * Beyond that group, loading one chooses the second stage's format: vmm.slat becomes npt for vendor amd and ept for others, unless it was set.
 * The format is described in docs/scenarios.md; its schema, machine.xsd, is made from the table of parameters (sim/config.h).
 *
 * Files are read without trust: no network, no document type, no entities, at most 1 MiB. A failure names file, line, column, the
 * element or attribute, and what is allowed there. */
#ifndef NESTWALK_SCENARIOS_MACHINE_H
#define NESTWALK_SCENARIOS_MACHINE_H

#include <nestwalk/base/status.h>
#include <nestwalk/sim/config.h>
#include <stddef.h>

/* Name of shipped profile number `index`, in alphabetical order; NULL behind the last. */
const char *nw_machine_name(size_t index);

/* Replaces the machine parameters of *c, and only those, by the profile's. `profile` is a shipped name or, if it has a '/', ends in
 * ".xml" or names no shipped profile, a file; `directory` (NULL: the current one) is where a relative file name starts.
 * On failure *c is as it was. NW_ERR_USAGE: no such profile (the message has the nearest name and the list); NW_ERR_INPUT: there is
 * no such file, or it is not a valid profile; NW_ERR_IO, NW_ERR_NOMEM. */
enum nw_status nw_machine_load(const char *profile, const char *directory, struct nw_config *c,
                               struct nw_error *err) NW_MUST_USE;

/* Writes the machine parameters of *c with their sources as a profile that nw_machine_load() reads back to the same values and
 * sources. The same configuration gives the same bytes. The file appears whole or not at all. */
enum nw_status nw_machine_save(const struct nw_config *c, const char *path, struct nw_error *err) NW_MUST_USE;

#endif
