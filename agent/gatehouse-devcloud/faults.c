/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <errno.h>
#include <string.h>

const char *const fault_names[FAULT_KINDS] = {
    [FAULT_SLOW] = "slow",
    [FAULT_REFUSE] = "refuse",
    [FAULT_LOSE_BEFORE] = "lose-before-apply",
    [FAULT_LOSE_AFTER] = "lose-after-apply",
    [FAULT_LATE] = "apply-late",
    [FAULT_PRETEND] = "pretend",
    [FAULT_HALF] = "half-answer",
    [FAULT_STALE] = "stale-read",
};

int faults_add(struct faults *f, const struct fault *rule)
{
    if (f->count == FAULT_RULES_MAX)
        return -ENOBUFS;
    f->rules[f->count++] = *rule;
    return 0;
}

void faults_clear(struct faults *f)
{
    f->count = 0;
}

static bool path_matches(const char *rule, const char *path)
{
    if (!*rule)
        return true;
    for (; *rule; rule++)
        if (*rule == '*')
            path += strcspn(path, "/");
        else if (*rule != *path++)
            return false;
    return *path == 0 || *path == '/';
}

/* A code is of one protocol; whatever else happens, happens to both. */
static bool protocol_matches(const struct fault *rule, const char *path)
{
    return rule->kind != FAULT_REFUSE || (rule->code > UINT8_MAX) == (path[0] == '/');
}

static bool matches(const struct fault *rule, const char *method, const char *path, const char *device)
{
    return path_matches(rule->path, path) && protocol_matches(rule, path) &&
           (!rule->method[0] || strcmp(rule->method, method) == 0) &&
           (!rule->device[0] || strcmp(rule->device, device) == 0);
}

bool faults_take(struct faults *f, enum fault_kind kind, const char *method, const char *path, const char *device,
                 struct fault *ret)
{
    for (size_t i = 0; i < f->count; i++) {
        struct fault *rule = &f->rules[i];

        if (rule->kind != kind || !matches(rule, method, path, device))
            continue;
        *ret = *rule;
        if (rule->times != UINT64_MAX && --rule->times == 0) {
            memmove(rule, rule + 1, (f->count - i - 1) * sizeof(*rule));
            f->count--;
        }
        return true;
    }
    return false;
}
