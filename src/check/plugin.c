/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins that are installed and cannot be loaded. Only a driver host ever loads one, so one is started for each: it
 * reads no question, and ends, or says why it could not begin. */
#include "base/limits.h"
#include "check/local.h"
#include "check/run.h"

#include <string.h>
#include <unistd.h>

/* The words of a host that could not load its plugin, in one line. */
static bool cannot_load(const struct check_place *p, const char *driver, char *words, size_t size)
{
    const char *argv[] = {p->driver_program, driver, "--check-config", "--plugin-dir", p->plugin_dir, NULL};
    const struct check_run run = {.argv = argv, .errors = true, .wait = CHECK_PLUGIN_WAIT};
    int status = check_run(&run, words, size);

    if (status <= 0)
        return false;
    for (char *c = words; *c; c++)
        *c = *c == '\n' ? ' ' : (unsigned char)*c < 0x20 ? '?' : *c;
    return true;
}

void check_plugin_loads(const struct check_place *p, const char *driver, struct findings *f)
{
    char words[ERROR_TEXT_MAX];

    if (p->root[0] || !p->driver_program || access(p->driver_program, X_OK) < 0 ||
        !cannot_load(p, driver, words, sizeof(words)))
        return;
    finding_mend(f, findings_add(f, FINDING_PLUGIN_ABI, driver, "%s", words[0] ? words : "its host gives no reason"),
                 strcmp(driver, "sim") == 0 ? "apt install --reinstall gatehouse-devcloud"
                                            : "apt install --reinstall gatehouse gatehouse-plugin-%s",
                 driver);
}
