/* wl_btree.c - a B+tree of 64-bit keys: bulk loaded bottom-up, nodes packed full, then searched and grown
 * by inserts, which split. */
#include "workload.h"

enum { FAN = 32 }; /* a node is 512 bytes: eight lines */

struct node {
    uint32_t count; /* keys */
    uint32_t leaf;
    uint64_t key[FAN - 1];
    union {
        struct node *child[FAN]; /* inner: child[i] holds keys < key[i]; child[count] the rest */
        uint64_t value[FAN];     /* leaf: value[i] belongs to key[i] */
    } u;
};

struct tree {
    struct node *root, *pool, *pool_end;
};

static struct node *node_new(struct tree *t, uint32_t leaf)
{
    if (t->pool == t->pool_end)
        return NULL;
    struct node *n = t->pool++;
    n->leaf = leaf;
    return n;
}

/* The first index whose key is greater than `key`. */
static uint32_t upper(const struct node *n, uint64_t key)
{
    uint32_t low = 0, high = n->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (n->key[mid] <= key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint64_t lookup(const struct tree *t, uint64_t key)
{
    const struct node *n = t->root;
    while (!n->leaf)
        n = n->u.child[upper(n, key)];
    uint32_t i = upper(n, key);
    return i && n->key[i - 1] == key ? n->u.value[i - 1] : 0;
}

/* Splits the full child i of `parent`, which has room. */
static struct node *split(struct tree *t, struct node *parent, uint32_t i)
{
    struct node *full = parent->u.child[i], *right = node_new(t, full->leaf);
    if (!right)
        return NULL;
    uint32_t keep = (FAN - 1) / 2, from = full->leaf ? keep : keep + 1;
    uint64_t separator = full->key[keep];
    right->count = full->count - from;
    for (uint32_t k = 0; k < right->count; k++) {
        right->key[k] = full->key[from + k];
        right->u.value[k] = full->u.value[from + k];
    }
    if (!full->leaf)
        right->u.child[right->count] = full->u.child[full->count];
    full->count = keep;
    for (uint32_t k = parent->count; k > i; k--) {
        parent->key[k] = parent->key[k - 1];
        parent->u.child[k + 1] = parent->u.child[k];
    }
    parent->key[i] = separator;
    parent->u.child[i + 1] = right;
    parent->count++;
    return right;
}

static int insert(struct tree *t, uint64_t key, uint64_t value)
{
    if (t->root->count == FAN - 1) {
        struct node *top = node_new(t, 0);
        if (!top)
            return 0;
        top->u.child[0] = t->root;
        t->root = top;
        if (!split(t, top, 0))
            return 0;
    }
    struct node *n = t->root;
    while (!n->leaf) {
        uint32_t i = upper(n, key);
        if (n->u.child[i]->count == FAN - 1) {
            if (!split(t, n, i))
                return 0;
            if (key >= n->key[i])
                i++;
        }
        n = n->u.child[i];
    }
    uint32_t i = upper(n, key);
    if (i && n->key[i - 1] == key) {
        n->u.value[i - 1] = value;
        return 1;
    }
    for (uint32_t k = n->count; k > i; k--) {
        n->key[k] = n->key[k - 1];
        n->u.value[k] = n->u.value[k - 1];
    }
    n->key[i] = key;
    n->u.value[i] = value;
    n->count++;
    return 1;
}

/* Loaded keys are the multiples of SPACING; inserted ones fall between. */
enum { SPACING = 16, FILL = FAN - 1 };

static uint64_t smallest_key(const struct node *n)
{
    while (!n->leaf)
        n = n->u.child[0];
    return n->key[0];
}

/* Packs `count` consecutive nodes of one level under parents; returns how many parents, 0 when the pool is used up. */
static uint64_t pack_level(struct tree *t, struct node *below, uint64_t count)
{
    uint64_t made = 0;
    for (uint64_t done = 0; done < count; made++) {
        struct node *n = node_new(t, 0);
        if (!n)
            return 0;
        uint64_t take = count - done < FILL + 1 ? count - done : FILL + 1;
        if (count - done - take == 1) /* no parent may have a single child */
            take--;
        for (uint64_t i = 0; i < take; i++) {
            n->u.child[i] = below + done + i;
            if (i)
                n->key[i - 1] = smallest_key(n->u.child[i]);
        }
        n->count = (uint32_t)take - 1;
        done += take;
    }
    return made;
}

static int bulk_load(struct tree *t, uint64_t keys)
{
    struct node *level = t->pool;
    uint64_t nodes = 0;
    for (uint64_t k = 0; k < keys; nodes++) {
        struct node *n = node_new(t, 1);
        if (!n)
            return 0;
        for (; n->count < FILL && k < keys; k++, n->count++) {
            n->key[n->count] = k * SPACING;
            n->u.value[n->count] = k + 1;
        }
    }
    while (nodes > 1) {
        struct node *next = t->pool;
        nodes = pack_level(t, level, nodes);
        if (!nodes)
            return 0;
        level = next;
    }
    t->root = level;
    return 1;
}

uint64_t wl_btree(struct wl *w)
{
    uint64_t seed = w->seed, sum = 0;
    uint64_t nodes = w->size / sizeof(struct node);
    struct tree t = { 0 };
    /* Room for the loaded tree and for the splits of the inserts. */
    uint64_t room = nodes + w->operations / 4 + 64;
    t.pool = w->alloc(w, room * sizeof(struct node));
    t.pool_end = t.pool + room;
    uint64_t keys = nodes * FILL * 15 / 16;
    if (!bulk_load(&t, keys))
        return 0;

    w->phase(w, WL_BEGIN, 0);
    for (uint64_t i = 0; i < w->operations; i++) {
        uint64_t key = wl_below(&seed, keys) * SPACING;
        if (i % 8 == 7) {
            key += 1 + i % (SPACING - 1);
            sum = wl_fold(sum, (uint64_t)insert(&t, key, i));
        }
        sum = wl_fold(sum, lookup(&t, key));
    }
    w->phase(w, WL_END, 0);
    return sum;
}
