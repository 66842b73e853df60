/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of host functions that a plugin gets (struct gatehouse_host). There is one plugin in the process, so there
 * is one table; the inbox must outlive the plugin. */

#include "inbox.h"

const struct gatehouse_host *host_api(struct inbox *inbox);
