/* fuzz_intent.c - any bytes as an intent file: an intent, or an error with its place. */
#include "fuzz.h"
#include <nestwalk/scenarios/intent.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_intent in;
    struct nw_error err = { 0 };
    const enum nw_status s = nw_intent_load_text("fuzz", (const char *)bytes, size, &in, &err);
    if (s == NW_ERR_INPUT && strncmp(err.text, "fuzz:", 5) != 0)
        abort();
    if (s && s != NW_ERR_INPUT)
        abort();
    if (s)
        return 0;
    for (size_t i = 1; i < in.memories; i++) /* in order, and none overlaps another */
        if (in.memory[i].start < in.memory[i - 1].end)
            abort();
    nw_intent_fini(&in);
    return 0;
}
