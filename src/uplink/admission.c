/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/admission.h"

#include "base/cleanup.h"
#include "base/limits.h"

void admission_init(struct admission *a, unsigned concurrent, unsigned per_sec, bool unlimited)
{
    /* A tenth of a second's worth at once: a burst that a server on a small machine still takes. */
    uint64_t burst = MAX_OF(per_sec / 10, 1U);

    *a = (struct admission){.concurrent = unlimited ? ADMISSION_UNLIMITED : concurrent, .unlimited = unlimited};
    ratelimit_init(&a->rate, burst * USEC_PER_SEC / MAX_OF(per_sec, 1U), burst);
}

static void unlink_ticket(struct admission *a, struct admission_ticket *ticket)
{
    *(ticket->previous ? &ticket->previous->next : &a->first) = ticket->next;
    *(ticket->next ? &ticket->next->previous : &a->last) = ticket->previous;
    ticket->next = ticket->previous = NULL;
    a->waiting--;
}

void admission_ask(struct admission *a, struct admission_ticket *ticket)
{
    if (ticket->state != TICKET_NONE)
        return;
    ticket->state = TICKET_WAITING;
    ticket->next = NULL;
    ticket->previous = a->last;
    *(a->last ? &a->last->next : &a->first) = ticket;
    a->last = ticket;
    a->waiting++;
}

void admission_leave(struct admission *a, struct admission_ticket *ticket)
{
    switch (ticket->state) {
    case TICKET_NONE:
        return;
    case TICKET_WAITING:
        unlink_ticket(a, ticket);
        break;
    case TICKET_ADMITTED:
        a->in_flight--;
        break;
    }
    ticket->state = TICKET_NONE;
}

static bool has_room(const struct admission *a)
{
    if (a->cells_free && a->cells_free(a->userdata) == 0)
        return false;
    return a->in_flight < a->concurrent;
}

void admission_run(struct admission *a, uint64_t now)
{
    for (int i = 0; i < ADMISSION_PER_TURN && a->first && has_room(a); i++) {
        struct admission_ticket *ticket = a->first;

        if (!a->unlimited && !ratelimit_take(&a->rate, now, 1))
            return;
        unlink_ticket(a, ticket);
        ticket->state = TICKET_ADMITTED;
        a->in_flight++;
        ticket->admitted(ticket->userdata);
    }
}

uint64_t admission_next(struct admission *a, uint64_t now)
{
    if (!a->first)
        return USEC_INFINITY;
    if (has_room(a))
        return a->unlimited ? now : ratelimit_next(&a->rate, now, 1);
    /* Cells come back from others than handshakes too, who do not tell us: look again. */
    return a->in_flight == 0 ? now + ADMISSION_RETRY : USEC_INFINITY;
}
