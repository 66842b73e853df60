/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks polkit whether the sender of a call may do something. polkit runs as a user of its own, and answers on the bus
 * are matched by a number that others may guess: so its connection is asked of the bus, addressed by its unique name,
 * and nobody else's answer is taken. Loop thread. */

#include "base/cleanup.h"

#include <stdbool.h>

struct bus;
struct polkit_question;

enum polkit_verdict {
    POLKIT_ALLOWED,
    POLKIT_REFUSED,
    POLKIT_ASKS,   /* it would ask for a password, and the caller did not say that it may */
    POLKIT_FAILED, /* it is there, and did not answer, or not so that it can be read */
    POLKIT_ABSENT, /* it is not installed */
};

/* Called once, from within sd-bus: nothing may be carried out in it. `why`: of POLKIT_FAILED, "" otherwise. */
typedef void polkit_done(enum polkit_verdict verdict, const char *why, void *userdata);

/* `sender` is a unique name. On success *ret is the caller's, and `done` will be called unless it is freed before. */
int polkit_ask(struct bus *b, const char *sender, const char *action, bool interactive, polkit_done *done,
               void *userdata, struct polkit_question **ret);
struct polkit_question *polkit_question_free(struct polkit_question *q);
DEFINE_FREEP(struct polkit_question, polkit_question_free)

/* The bus is gone, and with it what is known of polkit's connection. No question is under way. */
void polkit_forget(struct bus *b);
