#include <errno.h>
#include <fcntl.h>
#include <nestwalk/traces/nwt.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

static void finish(struct sha256_ctx *sha, char out[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(sha, sizeof digest, digest);
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void nw_bytes_sha256(const void *bytes, size_t count, char out[65])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, count, bytes);
    finish(&sha, out);
}

enum nw_status nw_file_sha256(const char *path, char out[65], struct nw_error *err)
{
    enum nw_status s = NW_OK;
    struct sha256_ctx sha;
    sha256_init(&sha);
    uint8_t *chunk = malloc(CHUNK);
    if (!chunk)
        return nw_fail_nomem(err, "a file's checksum");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        s = nw_fail_errno(err, errno == ENOENT ? NW_ERR_INPUT : NW_ERR_IO, errno, "%s: cannot open", path);
        goto out;
    }
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot read", path);
            goto out;
        }
        if (!n)
            break;
        sha256_update(&sha, (size_t)n, chunk);
    }
    finish(&sha, out);
out:
    if (fd >= 0)
        close(fd);
    free(chunk);
    return s;
}
