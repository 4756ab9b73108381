/* scratch.h - files that a test writes, in a directory of its own that is removed afterwards. */
#ifndef NW_TESTS_SCENARIOS_SCRATCH_H
#define NW_TESTS_SCENARIOS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_directory[128];

static inline int scratch_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(scratch_directory, sizeof scratch_directory, "%s/nestwalk-scenarios-XXXXXX", base ? base : "/tmp");
    return mkdtemp(scratch_directory) ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    DIR *d = opendir(scratch_directory);
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return rmdir(scratch_directory);
}

/* Full name of a file there; valid until the fourth call after this one. */
static inline const char *scratch_path(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ & 3];
    snprintf(p, sizeof path[0], "%s/%s", scratch_directory, name);
    return p;
}

static inline const char *scratch_write(const char *name, const void *text, size_t size)
{
    const char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline char *scratch_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *size = fread(text, 1, (1 << 20) - 1, f);
    text[*size] = 0;
    fclose(f);
    return text;
}

#endif
