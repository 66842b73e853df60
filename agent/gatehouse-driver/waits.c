/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where long has 32 bits, the fortified ppoll() of glibc 2.36 (Debian 12 on armhf) hands its 64-bit time to the system
 * call for 32-bit times, which sees zero seconds and zero nanoseconds: no wait at all. tests/unit/test-time-symbols.py
 * looks for it. */
#undef _FORTIFY_SOURCE

#include "waits.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#define ROOM_FIRST 4
/* As long as a time_t of 32 bits holds with ease; then it looks again. */
#define LONGEST_WAIT (24 * USEC_PER_HOUR)

static int make_room(struct waits *w)
{
    size_t room = w->room ? 2 * w->room : ROOM_FIRST;
    struct wait_fd **owners;
    struct pollfd *fds;

    if (w->n_fds < w->room)
        return 0;
    fds = reallocarray(w->fds, room, sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    w->fds = fds;
    owners = reallocarray(w->owners, room, sizeof(struct wait_fd *));
    if (!owners)
        return -ENOMEM;
    w->owners = owners;
    w->room = room;
    return 0;
}

int waits_init(struct waits *w)
{
    int r;

    *w = (struct waits){.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (w->wake_fd < 0)
        return -errno;
    r = make_room(w);
    if (r < 0) {
        waits_done(w);
        return r;
    }
    w->fds[0] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
    w->owners[0] = NULL;
    w->n_fds = 1;
    return 0;
}

void waits_done(struct waits *w)
{
    deadlines_done(&w->times);
    w->wake_fd = safe_close(w->wake_fd);
    free(w->fds);
    free(w->owners);
    w->fds = NULL;
    w->owners = NULL;
}

/* ---- Times ---- */

int waits_add_time(struct waits *w, struct wait_time *t, void (*come)(struct wait_time *time))
{
    *t = (struct wait_time){.come = come};
    return deadlines_reserve(&w->times);
}

void waits_remove_time(struct waits *w, struct wait_time *t)
{
    deadline_stop(&w->times, &t->deadline);
    deadlines_release(&w->times);
}

void waits_stop_time(struct waits *w, struct wait_time *t)
{
    deadline_stop(&w->times, &t->deadline);
}

void waits_set_time(struct waits *w, struct wait_time *t, uint64_t at, uint32_t slack)
{
    deadline_set(&w->times, &t->deadline, MAX_OF(at, clock_monotonic()), slack);
}

/* ---- Descriptors ---- */

int waits_add_fd(struct waits *w, struct wait_fd *f, int fd, uint32_t events,
                 void (*ready)(struct wait_fd *fd, uint32_t events))
{
    int r = make_room(w);

    if (fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    if (r < 0)
        return r;
    *f = (struct wait_fd){.place = w->n_fds, .ready = ready};
    w->fds[w->n_fds] = (struct pollfd){.fd = fd, .events = (short)events};
    w->owners[w->n_fds++] = f;
    return 0;
}

/* The last one takes its place. Its events were told already, unless it is itself among those that were not seen. */
void waits_remove_fd(struct waits *w, struct wait_fd *f)
{
    size_t place = f->place, last = --w->n_fds;

    w->fds[place] = w->fds[last];
    w->owners[place] = w->owners[last];
    w->owners[place]->place = place;
    w->unseen = MIN_OF(w->unseen, w->n_fds);
}

/* Tells one that is ready, from the last to the first; false when there is none. */
static bool tell_one(struct waits *w)
{
    while (w->unseen > 1) {
        struct pollfd *p = &w->fds[--w->unseen];
        short events = p->revents;

        p->revents = 0;
        if (events & POLLNVAL) {
            /* Closed under us: it would be ready for ever. */
            p->fd = -1;
            continue;
        }
        if (events) {
            w->owners[w->unseen]->ready(w->owners[w->unseen], (uint16_t)events);
            return true;
        }
    }
    return false;
}

/* ---- Waiting ---- */

static int look(struct waits *w, uint64_t now)
{
    uint64_t until = deadlines_first_at(&w->times) <= now ? now : deadlines_latest(&w->times);
    uint64_t wait = until > now ? MIN_OF(until - now, LONGEST_WAIT) : 0, count;
    const struct timespec t = {.tv_sec = (time_t)(wait / USEC_PER_SEC), .tv_nsec = (long)(wait % USEC_PER_SEC) * 1000};
    int r = ppoll(w->fds, w->n_fds, until == UINT64_MAX ? NULL : &t, NULL);

    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    if (r > 0 && w->fds[0].revents) {
        (void)!read(w->wake_fd, &count, sizeof(count));
        atomic_store(&w->woken, false);
    }
    w->unseen = r > 0 ? w->n_fds : 0;
    return 0;
}

int waits_step(struct waits *w)
{
    uint64_t now = clock_monotonic();
    struct wait_time *t;

    if (tell_one(w))
        return 0;
    if ((w->looked || w->n_fds == 1) && deadlines_first_at(&w->times) <= now) {
        t = (struct wait_time *)deadlines_first(&w->times);
        deadline_stop(&w->times, &t->deadline);
        w->looked = false;
        t->come(t);
        return 0;
    }
    w->looked = true;
    return look(w, now);
}

void waits_wake(struct waits *w)
{
    uint64_t one = 1;

    if (!atomic_exchange(&w->woken, true))
        (void)!write(w->wake_fd, &one, sizeof(one));
}
