/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin.h"

#include "base/cleanup.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The least that a plugin of this ABI has. */
#define PLUGIN_SIZE_MIN                                                                                                \
    (offsetof(struct gatehouse_plugin, device_close) + sizeof(((struct gatehouse_plugin *)0)->device_close))

static int check(const struct gatehouse_plugin *from, const char *path, const char *name, struct error *e)
{
    if (!from)
        return error_set(e, -ENOEXEC, "%s: " GATEHOUSE_PLUGIN_ENTRY "() returned nothing", path);
    if (from->abi != GATEHOUSE_PLUGIN_ABI)
        return error_set(e, -EPROTO, "%s is built for version %u of the plugin contract, this program has version %u",
                         path, from->abi, GATEHOUSE_PLUGIN_ABI);
    if (from->size < PLUGIN_SIZE_MIN)
        return error_set(e, -ENOEXEC, "%s: struct gatehouse_plugin of %u bytes is too short", path, from->size);
    if (!from->name || strcmp(from->name, name) != 0)
        return error_set(e, -ENOEXEC, "%s says that it is the plugin %s", path, from->name ?: "without a name");
    if (!from->device_open || !from->device_close)
        return error_set(e, -ENOEXEC, "%s lacks device_open or device_close", path);
    return 0;
}

int plugin_open(const char *dir, const char *name, struct plugin *ret, struct error *e)
{
    const struct gatehouse_plugin *from;
    _cleanup_free_ char *path = NULL;
    gatehouse_plugin_entry_fn entry;
    void *handle;
    int r;

    if (asprintf(&path, "%s/%s.so", dir, name) < 0) {
        path = NULL;
        return error_errno(e, -ENOMEM, "cannot load %s", name);
    }
    if (access(path, F_OK) < 0)
        return error_errno(e, -errno, "there is no plugin %s", path);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return error_set(e, -ENOEXEC, "cannot load the plugin: %s", dlerror());
    *(void **)&entry = dlsym(handle, GATEHOUSE_PLUGIN_ENTRY);
    if (!entry) {
        dlclose(handle);
        return error_set(e, -ENOEXEC, "%s is not a plugin: it has no " GATEHOUSE_PLUGIN_ENTRY "()", path);
    }
    from = entry();
    r = check(from, path, name, e);
    if (r < 0) {
        dlclose(handle);
        return r;
    }
    *ret = (struct plugin){.handle = handle};
    memcpy(&ret->p, from, MIN_OF((size_t)from->size, sizeof(ret->p)));
    return 0;
}

void plugin_close(struct plugin *p)
{
    if (p->handle)
        dlclose(p->handle);
    *p = (struct plugin){0};
}
