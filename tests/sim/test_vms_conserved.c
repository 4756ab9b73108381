/* test_vms_conserved.c - runs of several guests whose account of frames is checked as builds with assertions do: the counts at every step, all of it now and then. And that this
 * check ends a program whose account is wrong. */
#include "vms_case.h"
#include <nestwalk/mmu/host_memory.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void runs__keep_every_frame_and_every_content(void **state)
{
    (void)state;
    static const char *const ways[][8] = {
        { "sharing.kind", "ksm", "swap.policy", "arc" },
        { "balloon.policy", "tracking", "balloon.interval_ns", "1000000", "swap.device", "zswap" },
        { "sharing.kind", "hints", "balloon.policy", "idle-tax", "balloon.interval_ns", "1000000" },
        { "swap.policy", "guest-informed", "swap.preventer", "1", "swap.mapper", "1", "vm.b.work.file", "1" },
        { "host.fidelity", "walk", "host.backing", "2M", "balloon.policy", "shares", "balloon.unit", "2M" },
    };
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        struct nw_vms_config c = tight();
        set(&c, "host.memory", "34M");
        set(&c, "vm.a.work.generate", "uniform");
        set(&c, "vm.a.pinned", "2M");
        set(&c, "vm.a.zero", "0.1");
        set(&c, "vm.b.zero", "0.1");
        set(&c, "sharing.pages_to_scan", "2000");
        set(&c, "sharing.sleep_ns", "1000000");
        for (size_t i = 0; i < 8 && ways[k][i]; i += 2)
            set(&c, ways[k][i], ways[k][i + 1]);
        struct nw_vms_result r = run(&c);
        check_sound(&r, ways[k][1]);
        assert_true(r.host.reclaimed + r.guest[0].counters.inflated + r.guest[1].counters.inflated > 500);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* A page goes out and comes back. */
static void two_steps(struct nw_hostmem *h, uint32_t page)
{
    nw_hostmem_swap_out(h, nw_hostmem_at(h, page)->place);
    nw_hostmem_swap_in(h, page);
}

enum { FRAMES = 64, SLOTS = 64, WRONGS = 6 };

static void make_wrong(struct nw_hostmem *h, int wrong, uint32_t page, uint32_t other)
{
    const struct nw_page *p = nw_hostmem_at(h, page);
    switch (wrong) {
    case 0: return; /* nothing: it goes on */
    case 1: h->kind[NW_FRAME_TABLE]++; break;
    case 2: h->frame[p->place].content++; break;
    case 3: h->frame[p->place].users++; break;
    case 4: h->guest[0].resident--; break;
    case 5: h->frame[nw_hostmem_at(h, other)->place].user = page; break;
    }
}

/* What a child is ended by, within as many steps as the header says. */
static void account__that_is_wrong_ends_the_program(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < WRONGS; wrong++) {
        const pid_t child = fork();
        if (!child) {
            struct nw_hostmem *h;
            const struct nw_hostmem_config c = { .frames = FRAMES, .slots = SLOTS, .guests = 1 };
            uint32_t page, other, moving;
            signal(SIGABRT, SIG_DFL);
            if (!freopen("/dev/null", "w", stderr) || nw_hostmem_create(&h, &c, NULL) ||
                nw_hostmem_page(h, 0, 1, &page, NULL) || nw_hostmem_page(h, 0, 2, &other, NULL) ||
                nw_hostmem_page(h, 0, 3, &moving, NULL))
                _exit(2);
            nw_hostmem_back(h, page);
            nw_hostmem_back(h, other);
            nw_hostmem_back(h, moving);
            two_steps(h, moving);
            make_wrong(h, wrong, page, other);
            const uint64_t most = h->steps + FRAMES + SLOTS + h->pages;
            while (h->steps < most)
                two_steps(h, moving);
            _exit(0);
        }
        int status = 0;
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        if (wrong ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT : !WIFEXITED(status) || WEXITSTATUS(status))
            fail_msg("account %d wrong: status %#x", wrong, (unsigned)status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(account__that_is_wrong_ends_the_program),
        cmocka_unit_test(runs__keep_every_frame_and_every_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
