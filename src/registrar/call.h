/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every registrar's calls begin with. For the files of src/registrar. */

#include "registrar/registrar.h"

struct registrar_call {
    struct registrar *registrar;
    registrar_done *done;
    void *userdata;
};
