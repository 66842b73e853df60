/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/findings.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CTL "gatehousectl "
#define RELOAD " && sudo gatehousectl reload"

static void finding_done(struct finding *finding)
{
    free(finding->subject);
    free(finding->cause);
    free(finding->mend);
}

void findings_done(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        finding_done(&f->list[i]);
    free(f->list);
    *f = (struct findings){0};
}

static bool has(const struct findings *f, enum finding_id id, const char *subject)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].id == id && strcmp(f->list[i].subject, subject) == 0)
            return true;
    return false;
}

static struct finding *room(struct findings *f)
{
    if (f->n == f->allocated) {
        size_t n = f->allocated > 0 ? 2 * f->allocated : 16;
        struct finding *list = reallocarray(f->list, n, sizeof(*list));

        if (!list)
            return NULL;
        f->list = list;
        f->allocated = n;
    }
    return &f->list[f->n];
}

/* Text without control characters: part of it is what other users chose, and it goes to root's terminal. NULL: out of
 * memory. */
static char *cleaned(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));
static char *cleaned(const char *format, va_list ap)
{
    char *text;

    if (vasprintf(&text, format, ap) < 0)
        return NULL;
    text_clean(text);
    return text;
}

struct finding *findings_add(struct findings *f, enum finding_id id, const char *subject, const char *format, ...)
{
    struct finding new = {.id = id, .subject = strdup(subject), .mend = strdup("")}, *at;
    va_list ap;

    if (new.subject)
        text_clean(new.subject);
    if (new.subject && (has(f, id, new.subject) || ++f->count[id] > FINDINGS_PER_KIND)) {
        finding_done(&new);
        return NULL;
    }
    va_start(ap, format);
    new.cause = cleaned(format, ap);
    va_end(ap);
    at = room(f);
    if (!at || !new.subject || !new.cause || !new.mend) {
        finding_done(&new);
        f->failed = -ENOMEM;
        return NULL;
    }
    *at = new;
    f->n++;
    return at;
}

void finding_mend(struct findings *f, struct finding *finding, const char *format, ...)
{
    char *text;
    va_list ap;

    if (!finding)
        return;
    va_start(ap, format);
    text = cleaned(format, ap);
    va_end(ap);
    if (!text) {
        f->failed = -ENOMEM;
        return;
    }
    free(finding->mend);
    finding->mend = text;
}

static void mend_take(struct findings *f, struct finding *finding, struct strbuf *command)
{
    _cleanup_free_ char *text = NULL;

    if (strbuf_take(command, &text) < 0)
        f->failed = -ENOMEM;
    else
        finding_mend(f, finding, "%s", text);
}

void finding_mend_words(struct findings *f, struct finding *finding, const char *format, ...)
{
    struct strbuf command = {0};
    const char *word;
    va_list ap;

    va_start(ap, format);
    for (; (word = strstr(format, "%s")); format = word + 2) {
        strbuf_add(&command, format, (size_t)(word - format));
        strbuf_word(&command, va_arg(ap, const char *));
    }
    va_end(ap);
    strbuf_puts(&command, format);
    mend_take(f, finding, &command);
}

static bool checks_again(const char *mend)
{
    size_t n = strlen(mend), k = strlen(CTL "check");

    return n >= k && strcmp(mend + n - k, CTL "check") == 0;
}

void findings_mend_places(struct findings *f, const char *const *options, size_t n)
{
    for (size_t i = 0; i < f->n; i++) {
        struct strbuf command = {0};

        if (!checks_again(f->list[i].mend))
            continue;
        strbuf_puts(&command, f->list[i].mend);
        for (size_t k = 0; k < n; k++) {
            strbuf_puts(&command, " ");
            strbuf_word(&command, options[k]);
        }
        mend_take(f, &f->list[i], &command);
    }
}

/* Verbs of gatehousectl that do without the agent begin so. */
static bool asks_agent(const char *mend)
{
    return strncmp(mend, CTL, strlen(CTL)) == 0 && strncmp(mend, CTL "vault ", strlen(CTL "vault ")) != 0 &&
           strncmp(mend, CTL "check", strlen(CTL "check")) != 0;
}

void findings_mend_without_agent(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        _cleanup_free_ char *mend = strdup(f->list[i].mend);
        char *reload = mend ? strstr(mend, RELOAD) : NULL;

        if (!mend)
            f->failed = -ENOMEM;
        else if (reload)
            finding_mend(f, &f->list[i], "%.*s && sudo systemctl restart gatehouse", (int)(reload - mend), mend);
        else if (asks_agent(mend))
            finding_mend(f, &f->list[i], "sudo systemctl start gatehouse && %s", mend);
    }
}

static void drop(struct findings *f, size_t i)
{
    f->count[f->list[i].id]--;
    finding_done(&f->list[i]);
    memmove(&f->list[i], &f->list[i + 1], (--f->n - i) * sizeof(*f->list));
}

static void drop_explained(struct findings *f)
{
    static const enum finding_id explains[][2] = {{FINDING_DRIVER_MISSING, FINDING_DRIVER_AWAY},
                                                  {FINDING_PLUGIN_ABI, FINDING_DRIVER_AWAY},
                                                  {FINDING_NAME_UNRESOLVED, FINDING_SERVER_SILENT},
                                                  {FINDING_ROUTE_MISSING, FINDING_SERVER_SILENT},
                                                  {FINDING_PORT_CLOSED, FINDING_SERVER_SILENT}};

    for (size_t k = 0; k < ELEMENTSOF(explains); k++)
        for (size_t i = f->n; i-- > 0;)
            if (f->list[i].id == explains[k][1] && has(f, explains[k][0], f->list[i].subject))
                drop(f, i);
}

static struct finding *last_of(struct findings *f, enum finding_id id)
{
    for (size_t i = f->n; i-- > 0;)
        if (f->list[i].id == id)
            return &f->list[i];
    return NULL;
}

void findings_close(struct findings *f)
{
    drop_explained(f);
    findings_sort(f);
    for (int id = 0; id < FINDINGS_N; id++) {
        struct finding *last = f->count[id] > FINDINGS_PER_KIND ? last_of(f, (enum finding_id)id) : NULL;
        char *cause;

        if (!last)
            continue;
        if (asprintf(&cause, "%s (and %zu more of this kind)", last->cause, f->count[id] - FINDINGS_PER_KIND) < 0) {
            f->failed = -ENOMEM;
            continue;
        }
        free(last->cause);
        last->cause = cause;
    }
}

static int compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return strverscmp(x->subject, y->subject);
}

void findings_sort(struct findings *f)
{
    if (f->n > 1)
        qsort(f->list, f->n, sizeof(*f->list), compare);
}

int findings_worst(const struct findings *f)
{
    int worst = -1;

    for (size_t i = 0; i < f->n; i++)
        worst = MAX_OF(worst, (int)finding_kinds[f->list[i].id].severity);
    return worst;
}

/* ── JSON ── */

json_object *finding_json(const struct finding *finding)
{
    const struct finding_kind *kind = &finding_kinds[finding->id];
    const char *const members[][2] = {{"id", kind->name},
                                      {"severity", severity_name(kind->severity)},
                                      {"subject", finding->subject},
                                      {"cause", finding->cause},
                                      {"mend", finding->mend}};
    _cleanup_json_ json_object *o = json_object_new_object();

    for (size_t i = 0; o && i < ELEMENTSOF(members); i++)
        if (json_object_object_add(o, members[i][0], json_object_new_string(members[i][1])) < 0)
            return NULL;
    return TAKE_PTR(o);
}

bool findings_add_json(struct findings *f, json_object *object)
{
    const char *name = json_get_string(object, "id"), *cause = json_get_string(object, "cause");
    const char *mend = json_get_string(object, "mend");
    enum finding_id id = name ? finding_by_name(name) : FINDINGS_N;

    if (id == FINDINGS_N || !cause)
        return false;
    finding_mend(f, findings_add(f, id, json_get_string(object, "subject") ?: "", "%s", cause), "%s", mend ?: "");
    return true;
}
