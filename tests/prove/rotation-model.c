/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks the rotation's state machine, as it is linked into the agent, through everything that a cloud, a disk, an
 * operator and a power cut can do to it in any order, and asserts the promise in every state reached:
 *
 *   held      whatever the cloud accepts, the agent holds (so a forgotten key is accepted nowhere)
 *   way in    a key that the agent holds is accepted, unless the operator has mistyped all of them
 *   way out   then he can be rid of them, and bring the right one
 *   two       at most two credentials of ours stand at the cloud
 *   kept      a key that may have been offered is not overwritten
 *   commit    nothing is sent, and nothing forgotten, that the durable part does not allow
 *   proof     no deletion without main having passed within five minutes
 *   fallback  at most one in ten minutes, and none to a key that others know unless the operator asks
 *   learns    whoever holds only keys that are no longer main never learns another, nor has a say in what is deleted
 *   answered  each act of the operator gets one reply
 *   owed      what an act or a result must lead to, pauses after failures, words (rotation-contract.c)
 *   carried   the carrier does what the machine says, in that order (rotation-carried.c)
 *   ends      with a fair cloud the rotation comes to its end in a bounded number of steps, main valid; with a
 *             registrar that is away, or whose answers are lost, the key that is accepted is found
 *
 * Beside the cloud there is an adversary: he holds every key that was main, from the moment when a rotation put another
 * in its place, and never the one that is main. He can refuse and drop whatever he likes, and where a key of his is
 * tried he can accept it.
 *
 * Time is abstract: it stands still, or passes by six minutes (proofs are stale) or by 25 hours (all spans are over).
 * Requests whose answer is lost may be carried out late, within these. */
#include "rotation-model.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BRANCHES_MAX 64
#define CARRIED_WORLDS 2000
#define FROM_WORLDS 3000
#define SEEDS_WORLDS 60000

static struct set seen;

/* ── The walk ── */

struct totals {
    uint64_t states, transitions;
    unsigned violations;
};

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
           (int)r->in_flight, r->unsettled_until > w->now ? ", unsettled" : "", r->proved_at ? ", proved" : "",
           r->main_answers, r->refused_probes);
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

static void forget_worlds(void)
{
    set_reset(&seen);
    ends_forget();
}

/* What may follow a world: all of it first, then into the set, whose places have arrived from memory meanwhile. False:
 * `to` is a violation. */
static bool expand(uint32_t i, const struct world *from, struct world *to, unsigned *ret_branch, uint64_t *transitions)
{
    struct packed keys[BRANCHES_MAX];
    uint8_t branches[BRANCHES_MAX];
    unsigned n = 0;
    bool possible;

    for (unsigned b = 0; branch(from, b, to, &possible); b++) {
        if (!possible)
            continue;
        ++*transitions;
        *ret_branch = b;
        if (to->violation)
            return false;
        if (n == BRANCHES_MAX)
            abort();
        pack(to, false, &keys[n]);
        set_prefetch(&seen, &keys[n]);
        branches[n++] = (uint8_t)b;
    }
    for (unsigned k = 0; k < n; k++)
        set_prefetch_node(&seen, &keys[k]);
    for (unsigned k = 0; k < n; k++)
        set_add(&seen, &keys[k], i, branches[k]);
    return true;
}

/* From what is in `seen`, through at most `most` worlds. */
static unsigned explore(const char *setting, unsigned index, uint32_t most, struct totals *totals)
{
    uint64_t transitions = 0;

    for (uint32_t i = 0; i < seen.n && i < most; i++) {
        struct world from, to;
        struct ends ends;
        unsigned b;

        carrying = i < CARRIED_WORLDS; /* it has no part in what differs between the others */
        unpack(&seen.nodes[i].key, &from);
        ends_begin(&from, &ends);
        if (!expand(i, &from, &to, &b, &transitions))
            return report_violation(setting, i, b, &to);
        if (!ends_kindly(&ends, &to))
            return report_violation(setting, i, 999, &to);
        seeds_note(index, &seen.nodes[i].key, from.r.change == ROTATION_CHANGE_NONE);
    }
    printf("%-36s %9u states %10llu transitions, ends within %u steps\n", setting, seen.n,
           (unsigned long long)transitions, ends_longest());
    fflush(stdout);
    totals->states += seen.n;
    totals->transitions += transitions;
    return 0;
}

static unsigned walk(const char *setting, unsigned index, uint32_t most, struct totals *totals)
{
    struct world start = {.now = NOW, .slot = {0, NO_KEY}, .accepted = 1};
    struct packed key;

    forget_worlds();
    rotation_init(&start.r, true);
    feed_type(&start, ROTATION_EV_RESTART);
    pack(&start, false, &key);
    set_add(&seen, &key, 0, 0);
    return explore(setting, index, most, totals);
}

#define ACT(a) (1u << ACT_##a)
#define OPERATOR(o) (1u << OPERATOR_##o)
#define ALL ((1u << OPERATORS) - 1)

enum operator{
    OPERATOR_ROTATES,
    OPERATOR_FORGETS,
    OPERATOR_COMPROMISED,
    OPERATOR_HURRIES,
    OPERATOR_REMOVES,
    OPERATOR_EMPTIES,
    OPERATOR_MISTYPES,
    OPERATOR_REVOKES,
    OPERATORS
};

static const struct {
    const char *name;
    struct rotation_policy policy;
    uint32_t operators; /* bits of their numbers */
} settings[] = {
    /* the short walks first */
    {"manual, adds", {.manual = true}, ALL},
    {"manual, replaces", {.manual = true, .replaces = true}, ALL},
    {"replaces", {.replaces = true}, ALL},
    {"replaces, looks", {.replaces = true, .out_of_band = true, .looks = true}, ALL},
    /* these differ in what is asked through the device's own session, and in FIND */
    {"coap, adds", {0}, OPERATOR(ROTATES) | OPERATOR(FORGETS) | OPERATOR(REMOVES) | OPERATOR(REVOKES)},
    {"adds", {.out_of_band = true}, OPERATOR(COMPROMISED) | OPERATOR(HURRIES) | OPERATOR(EMPTIES) | OPERATOR(MISTYPES)},
    {"adds, looks", {.out_of_band = true, .looks = true}, OPERATOR(ROTATES) | OPERATOR(REMOVES)},
};

/* Each walk lets the operator do some of the things that he may do; --thorough all of them in any order. */
static const struct {
    const char *name;
    uint32_t acts;
} operators[OPERATORS] = {
    {"rotates", ACT(ROTATE) | ACT(SCHEDULED) | ACT(SET_MAIN) | ACT(FORGET_MAIN) | ACT(FORGET_MAIN_CONFIRMED) |
                    ACT(EXPORT) | ACT(CONNECT)},
    {"forgets", ACT(ROTATE) | ACT(FORGET) | ACT(FORGET_CONFIRMED) | ACT(SET_BACKUP)},
    {"compromised", ACT(COMPROMISED) | ACT(PROMOTE)},
    {"hurries", ACT(ROTATE) | ACT(COMPROMISED)},
    {"removes", ACT(ROTATE) | ACT(REMOVE) | ACT(REMOVE_CONFIRMED)},
    {"empties", ACT(SET_BACKUP) | ACT(SET_MAIN) | ACT(FORGET_MAIN_CONFIRMED) | ACT(REMOVE)},
    {"mistypes", ACT(SET_MAIN) | ACT(SET_MAIN_CONFIRMED) | ACT(MISTYPE_MAIN) | ACT(SET_BACKUP) |
                     ACT(SET_BACKUP_CONFIRMED) | ACT(FORGET_CONFIRMED) | ACT(FORGET_MAIN_CONFIRMED)},
    {"revokes", ACT(ROTATE) | ACT(REVOKE)},
};
static const struct {
    const char *name;
    uint32_t acts;
} anything = {"anything", (1u << ACTS) - 1};

/* What a walk is to be, by its number; its name. False: there is no such walk. */
static bool set_walk(unsigned index, bool thorough, char *name, size_t size)
{
    size_t n_operators = thorough ? 1 : OPERATORS, setting = index / n_operators;
    const char *who = thorough ? anything.name : operators[index % n_operators].name;

    if (!thorough && !(settings[setting].operators & 1u << index % n_operators))
        return false;
    acts_allowed = thorough ? anything.acts : operators[index % n_operators].acts;
    policy = settings[setting].policy;
    policy.retire_after = RETIRE_AFTER;
    snprintf(name, size, "%s; %s", settings[setting].name, who);
    return true;
}

static unsigned n_walks(bool thorough)
{
    return (unsigned)(ELEMENTSOF(settings) * (thorough ? 1 : OPERATORS));
}

static unsigned walk_number(unsigned i, bool thorough, uint32_t most, struct totals *totals)
{
    char name[64];

    return set_walk(i, thorough, name, sizeof(name)) ? walk(name, i, most, totals) : 0;
}

/* Each setting with each operator, or the one of that name, until something is found. */
static unsigned walk_first(const char *only, uint32_t most, struct totals *totals)
{
    unsigned violations = 0;
    char name[64];

    for (unsigned i = 0; i < n_walks(false) && violations == 0; i++)
        if (set_walk(i, false, name, sizeof(name)) && (!only || strcmp(only, name) == 0))
            violations += walk(name, i, most, totals);
    return violations;
}

/* One walk in a process of its own, which says what came of it. */
static void begin_walk(unsigned i, bool thorough, int fd)
{
    struct totals totals = {0};
    pid_t pid = fork();

    if (pid < 0)
        abort();
    if (pid > 0)
        return;
    totals.violations = walk_number(i, thorough, UINT32_MAX, &totals);
    fflush(stdout);
    _exit(write(fd, &totals, sizeof(totals)) == (ssize_t)sizeof(totals) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* All of them, one on each processor, the long ones first. */
static unsigned walk_all(bool thorough, struct totals *totals)
{
    long processors = MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    unsigned left = n_walks(thorough), failed = 0;
    struct totals one;
    long running = 0;
    int pipes[2], status;

    if (pipe(pipes) < 0)
        abort();
    while (left > 0 || running > 0) {
        if (left > 0 && running < processors) {
            begin_walk(--left, thorough, pipes[1]);
            running++;
            continue;
        }
        failed += wait(&status) < 0 || status != 0;
        running--;
    }
    close(pipes[1]);
    while (read(pipes[0], &one, sizeof(one)) == (ssize_t)sizeof(one)) {
        totals->states += one.states;
        totals->transitions += one.transitions;
        totals->violations += one.violations;
    }
    close(pipes[0]);
    return totals->violations + failed;
}

/* To find something wrong with a row, as soon as may be: from worlds in which it is taken, a few worlds on. */
static unsigned walk_from(const char *seeds, unsigned row, struct totals *totals)
{
    unsigned violations = 0;
    char name[64];

    for (unsigned i = 0; i < n_walks(false) && violations == 0; i++) {
        uint32_t n;

        if (!set_walk(i, false, name, sizeof(name)))
            continue;
        forget_worlds();
        n = seeds_read(seeds, row, i, &seen);
        violations += n > 0 ? explore(name, i, n + FROM_WORLDS, totals) : 0;
    }
    return violations;
}

static unsigned make_seeds(const char *path, struct totals *totals)
{
    unsigned violations;

    seeds_begin();
    violations = walk_first(NULL, SEEDS_WORLDS, totals);
    return violations > 0 || seeds_write(path) < 0;
}

/* rotation-model [--thorough | --first [WALK] | --seeds FILE | --from FILE ROW]: everything; everything in any order,
 * for hours; until something is found; and for mutations.py, worlds to begin with, and to begin with them. */
int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    bool thorough = strcmp(mode, "--thorough") == 0;
    struct totals totals = {0};
    unsigned violations;
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    late_max = thorough ? LATE_MAX : 1;
    if (strcmp(mode, "--seeds") == 0 && argc == 3)
        violations = make_seeds(argv[2], &totals);
    else if (strcmp(mode, "--from") == 0 && argc == 4)
        violations = walk_from(argv[2], (unsigned)strtoul(argv[3], NULL, 10), &totals);
    else if (strcmp(mode, "--first") == 0)
        violations = walk_first(argc > 2 ? argv[2] : NULL, UINT32_MAX, &totals);
    else
        violations = walk_all(thorough, &totals);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("{\"states\":%llu,\"transitions\":%llu,\"rows\":%zu,\"violations\":%u,\"seconds\":%.1f}\n",
           (unsigned long long)totals.states, (unsigned long long)totals.transitions, rotation_table_rows, violations,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    return violations ? 1 : 0;
}
