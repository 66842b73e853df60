/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Loading NAME.so by the plugin contract: the size and version are looked at, and only what both sides know is copied.
 * Main thread. */

#include "base/error.h"

#include <gatehouse/plugin.h>

struct plugin {
    void *handle;
    struct gatehouse_plugin p; /* members that the plugin is too old for are NULL */
};

/* `dir` must be absolute or contain a slash; `name` is an id. Does not call the plugin's load. -ENOENT, -ENOEXEC (not a
 * plugin), -EPROTO (of another ABI version), with words. */
int plugin_open(const char *dir, const char *name, struct plugin *ret, struct error *e);
/* Does not call the plugin's unload. */
void plugin_close(struct plugin *p);
