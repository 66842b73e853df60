/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks the rotation's state machine, as it is linked into the agent, through everything that a cloud, a disk, an
 * operator and a power cut can do to it in any order, and asserts the promise in every state reached:
 *
 *   held      whatever the cloud accepts, the agent holds (so a forgotten key is accepted nowhere)
 *   way in    a key that the agent holds is accepted
 *   two       at most two credentials of ours stand at the cloud
 *   kept      a key that may have been offered is not overwritten
 *   commit    nothing is sent, and nothing forgotten, that the durable part does not allow
 *   proof     no deletion without main having passed within five minutes
 *   fallback  at most one in ten minutes
 *   answered  each act of the operator gets one reply
 *   ends      with a fair cloud the rotation comes to its end in a bounded number of steps, main valid
 *
 * Time is abstract: it stands still, or passes by six minutes (proofs are stale) or by two hours (all spans are over).
 * Requests whose answer is lost may be carried out late, within the two hours. */
#include "rotation-model.h"

#include <time.h>

static struct set seen, fair;

/* ── A fair cloud: everything is answered, truthfully and at once ── */

static void fair_answer(struct world *w)
{
    switch (w->r.in_flight) {
    case ROTATION_REQUEST_OFFER:
        branch_offer(w, 0);
        break;
    case ROTATION_REQUEST_FIND:
        if (!branch_find(w, 0))
            branch_find(w, 1);
        break;
    case ROTATION_REQUEST_DELETE:
        branch_delete(w, 0);
        break;
    case ROTATION_REQUEST_PROBE:
        branch_handshake(w, accepts(w, ROTATION_BACKUP) ? 0 : 1, ROTATION_BACKUP, ROTATION_EV_PROBE_ACCEPTED);
        break;
    case ROTATION_REQUEST_VERIFY:
        branch_handshake(w, accepts(w, ROTATION_MAIN) ? 0 : 1, ROTATION_MAIN, ROTATION_EV_VERIFY_ACCEPTED);
        break;
    case ROTATION_REQUEST_NONE:
        break;
    }
}

/* What the device's own session has to say, if it has not said so yet. */
static bool fair_main(struct world *w)
{
    if (w->slot[ROTATION_MAIN] == NO_KEY)
        return false;
    if (accepts(w, ROTATION_MAIN) && w->r.main_answers > 0)
        return branch_handshake(w, 0, ROTATION_MAIN, ROTATION_EV_MAIN_ACCEPTED);
    if (!accepts(w, ROTATION_MAIN) && w->r.main_answers < 2)
        return branch_handshake(w, 1, ROTATION_MAIN, ROTATION_EV_MAIN_ACCEPTED);
    return false;
}

static bool fair_step(struct world *w)
{
    if (w->r.change != ROTATION_CHANGE_NONE) {
        step_committed(w);
    } else if (fair_main(w)) {
        ;
    } else if (w->r.in_flight != ROTATION_REQUEST_NONE) {
        fair_answer(w);
    } else if (policy.manual && w->r.d.state == ROTATION_OFFERED && !w->r.d.give_up && !accepts(w, ROTATION_BACKUP)) {
        cloud_offer(w, w->slot[ROTATION_BACKUP]);
    } else if (w->armed) {
        w->armed = false;
        w->now += w->soon ? 0 : LONG;
        feed_type(w, ROTATION_EV_TIMER);
    } else {
        return false;
    }
    return true;
}

/* Whether a machine at rest is where it should be. */
static void check_end(struct world *w)
{
    const struct rotation_durable *d = &w->r.d;
    bool waits = policy.manual && (d->state == ROTATION_STAGED || (d->state == ROTATION_SWAPPED && !policy.replaces));

    if (w->violation[0] || w->gone)
        return;
    if (d->state != ROTATION_IDLE && !waits)
        violate(w, "ends: at rest in %s", rotation_state_name(d->state));
    if (d->has_main && (d->wanted || d->removing) && !waits)
        violate(w, "ends: at rest with something left to do");
    if (d->has_main && !accepts(w, ROTATION_MAIN))
        violate(w, "ends: main is not accepted");
}

static uint32_t fair_longest;

static void check_fair(struct world *w)
{
    struct packed chain[FAIR_STEPS];
    const struct node *known = NULL;
    uint32_t n = 0, steps = 0;

    for (size_t i = 0; i < LATE_MAX; i++)
        cloud_late(w, i);
    for (bool rest = false; !rest && !known; n += !rest && !known) {
        if (n == FAIR_STEPS) {
            violate(w, "ends: not within %d fair steps, in %s", FAIR_STEPS, rotation_state_name(w->r.d.state));
            return;
        }
        pack(w, true, &chain[n]);
        unpack(&chain[n], w);
        known = set_find(&fair, &chain[n]);
        if (!known && !w->gone)
            rest = !fair_step(w);
        rest = rest || w->gone;
        if (w->violation[0])
            return;
    }
    if (known)
        steps = known->from;
    else
        check_end(w);
    while (n > 0)
        set_add(&fair, &chain[--n], ++steps, 0);
    fair_longest = MAX_OF(fair_longest, steps);
}

/* ── The walk ── */

static void describe(const struct world *w, const char *what)
{
    const struct rotation *r = &w->r;

    printf("    %-14s %s%s%s main %s backup %s in flight %d%s%s, main said no %u, probes %u\n", what,
           rotation_state_name(r->d.state), r->change ? " -> " : "",
           r->change ? rotation_state_name(r->next.state) : "",
           w->slot[0] == NO_KEY        ? "-"
           : accepts(w, ROTATION_MAIN) ? "accepted"
                                       : "not accepted",
           w->slot[1] == NO_KEY          ? "-"
           : accepts(w, ROTATION_BACKUP) ? "accepted"
                                         : "not accepted",
           (int)r->in_flight, r->unsettled_at ? ", unsettled" : "", r->proved_at ? ", proved" : "", r->main_answers,
           r->refused_probes);
}

static void print_path(uint32_t i)
{
    struct world w;
    char name[32];

    if (i > 0)
        print_path(seen.nodes[i].from);
    unpack(&seen.nodes[i].key, &w);
    snprintf(name, sizeof(name), "branch %u", seen.nodes[i].branch);
    describe(&w, name);
}

static unsigned report_violation(const char *setting, uint32_t from, unsigned index, const struct world *w)
{
    printf("%s: VIOLATION: %s\n", setting, w->violation);
    print_path(from);
    printf("    then branch %u\n", index);
    return 1;
}

static unsigned walk(const char *setting, uint64_t *ret_states, uint64_t *ret_transitions)
{
    struct world start = {.now = NOW, .slot = {0, NO_KEY}, .accepted = 1};
    struct packed key;
    uint64_t transitions = 0;

    set_reset(&seen);
    set_reset(&fair);
    fair_longest = 0;
    rotation_init(&start.r, true);
    feed_type(&start, ROTATION_EV_RESTART);
    pack(&start, false, &key);
    set_add(&seen, &key, 0, 0);
    for (uint32_t i = 0; i < seen.n; i++) {
        struct world from, to;
        bool possible;

        unpack(&seen.nodes[i].key, &from);
        to = from;
        to.soon = true;
        check_fair(&to);
        if (to.violation[0])
            return report_violation(setting, i, 999, &to);
        for (unsigned b = 0; branch(&from, b, &to, &possible); b++) {
            if (!possible)
                continue;
            transitions++;
            if (to.violation[0])
                return report_violation(setting, i, b, &to);
            pack(&to, false, &key);
            set_add(&seen, &key, i, b);
        }
    }
    printf("%-36s %9u states %10llu transitions, ends within %u fair steps\n", setting, seen.n,
           (unsigned long long)transitions, fair_longest);
    fflush(stdout);
    *ret_states += seen.n;
    *ret_transitions += transitions;
    return 0;
}

#define ACT(a) (1u << ACT_##a)

static const struct {
    const char *name;
    struct rotation_policy policy;
    bool like_adds; /* differs from the one before in FIND alone: one operator will do */
} settings[] = {
    {"adds", {.out_of_band = true}, false},
    {"adds, looks", {.out_of_band = true, .looks = true}, true},
    {"replaces", {.replaces = true}, false},
    {"replaces, looks", {.replaces = true, .out_of_band = true, .looks = true}, false},
    {"manual, adds", {.manual = true}, false},
    {"manual, replaces", {.manual = true, .replaces = true}, false},
};

/* Each walk lets the operator do some of the things that he may do; --thorough all of them in any order. */
static const struct {
    const char *name;
    uint32_t acts;
} operators[] = {
    {"rotates", ACT(ROTATE) | ACT(SCHEDULED) | ACT(SET_MAIN) | ACT(FORGET_MAIN) | ACT(EXPORT) | ACT(CONNECT)},
    {"forgets", ACT(ROTATE) | ACT(FORGET) | ACT(FORGET_CONFIRMED) | ACT(SET_BACKUP)},
    {"compromised", ACT(COMPROMISED) | ACT(PROMOTE)},
    {"removes", ACT(ROTATE) | ACT(REMOVE) | ACT(REMOVE_CONFIRMED)},
};
static const struct {
    const char *name;
    uint32_t acts;
} anything = {"anything", (1u << ACTS) - 1};

int main(int argc, char **argv)
{
    bool thorough = argc > 1 && strcmp(argv[1], "--thorough") == 0;
    size_t n_operators = thorough ? 1 : ELEMENTSOF(operators);
    uint64_t states = 0, transitions = 0;
    unsigned violations = 0;
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    late_max = thorough ? LATE_MAX : 1;
    for (size_t i = 0; i < ELEMENTSOF(settings) * n_operators; i++) {
        const char *who = thorough ? anything.name : operators[i % n_operators].name;
        char name[64];

        if (settings[i / n_operators].like_adds && i % n_operators > 0)
            continue;
        acts_allowed = thorough ? anything.acts : operators[i % n_operators].acts;
        policy = settings[i / n_operators].policy;
        policy.retire_after = RETIRE_AFTER;
        snprintf(name, sizeof(name), "%s; %s", settings[i / n_operators].name, who);
        violations += walk(name, &states, &transitions);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("{\"states\":%llu,\"transitions\":%llu,\"rows\":%zu,\"violations\":%u,\"seconds\":%.1f}\n",
           (unsigned long long)states, (unsigned long long)transitions, rotation_table_rows, violations,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    return violations ? 1 : 0;
}
