/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The common beginning of every registrar's calls. For the files of src/registrar. */

#include "registrar/registrar.h"

struct registrar_call {
    struct registrar *registrar;
    registrar_done *done;
    void *userdata;
};
