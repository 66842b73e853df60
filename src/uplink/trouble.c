/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/trouble.h"

#include <errno.h>

enum uplink_trouble uplink_trouble_of_errno(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
        return UPLINK_TROUBLE_CLOSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
        return UPLINK_TROUBLE_ROUTE;
    default: /* what is left has waited in vain */
        return UPLINK_TROUBLE_SILENT;
    }
}
