/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's clock, as far as the fleet depends on it: what it cannot be before, and what is said while it is not
 * believed. Samples wait then, unless their cloud tells the time (server-time.c). */
#include "device/clock-care.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "spool/spool.h"

#include <stdio.h>
#include <time.h>

#define TRUST "`\"clock\": \"trust\"` in gatehouse.json if it is right all the same"

static void since_vault(struct vault *vault)
{
    for (const struct vault_entry *entry = vault_next(vault, NULL); entry; entry = vault_next(vault, entry))
        for (enum vault_slot slot = VAULT_MAIN; slot <= VAULT_BACKUP; slot++) {
            const struct vault_credential *c = vault_credential(entry, slot);

            clock_never_before(MAX_OF(c->since, c->last_authenticated));
        }
}

void clock_care_begin(struct fleet *f)
{
    clock_trust(f->config->clock_trust);
    since_vault(f->vault);
}

void clock_care_follow(struct fleet *f)
{
    clock_trust(f->config->clock_trust);
    timer_rearm(f->clock.timer, clock_boottime());
}

bool clock_care_ready(struct fleet *f)
{
    uint64_t newest;

    if (spool_newest(f->spool, &newest) < 0)
        return clock_boottime() > f->clock.started + CLOCK_SPOOL_WAIT;
    clock_never_before(newest);
    return true;
}

/* Devices whose samples wait, as no cloud tells the time. */
static size_t n_waiting(const struct fleet *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->index.n; i++)
        n += f->index.devices[i]->config->enabled && f->index.devices[i]->uplink->profile->time.option == 0;
    return n;
}

static const char *day(uint64_t realtime, char ret[static 32])
{
    time_t seconds = (time_t)(realtime / USEC_PER_SEC);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(ret, 32, "?");
    return ret;
}

const char *fleet_clock_problem(const struct fleet *f, char *buffer, size_t size)
{
    char now[32], then[32];
    size_t n;

    buffer[0] = 0;
    switch (clock_look()) {
    case CLOCK_RIGHT:
        break;
    case CLOCK_UNSET:
        n = n_waiting(f);
        if (n > 0)
            snprintf(
                buffer, size,
                "nobody has set it since this machine started: samples of %zu devices wait, whose clouds do not tell "
                "the time. Run an NTP client (systemd-timesyncd, chrony), or " TRUST,
                n);
        break;
    case CLOCK_BEFORE_BUILT:
        snprintf(
            buffer, size,
            "it says %s, and this program was built on %.10s: it is not believed, samples wait until it is set. Is "
            "its battery dead? Run an NTP client (systemd-timesyncd, chrony)",
            day(clock_realtime(), now), day(clock_built(), then));
        break;
    case CLOCK_BEFORE_NEWEST:
        snprintf(buffer, size,
                 "it says %s, and vault or spool know of %s: it is not believed, samples wait until it is set. Is its "
                 "battery dead? Run an NTP client (systemd-timesyncd, chrony), or " TRUST,
                 day(clock_realtime(), now), day(clock_newest(), then));
        break;
    }
    return buffer;
}

void clock_care_tell(struct fleet *f)
{
    char problem[ERROR_TEXT_MAX];
    enum clock_verdict verdict = clock_look();

    /* At start the network may not be there yet; a clock that is wrong does not become right by waiting. */
    if (verdict == CLOCK_UNSET && clock_boottime() < f->clock.started + CLOCK_PATIENCE)
        return;
    if (verdict == CLOCK_RIGHT || f->clock.told & 1u << verdict || !fleet_clock_problem(f, problem, sizeof(problem))[0])
        return;
    f->clock.told |= 1u << verdict;
    log_warning(NULL, "this machine's clock: %s", problem);
}
