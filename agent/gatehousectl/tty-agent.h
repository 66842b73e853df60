/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit's agent for the terminal that the caller sits at (pkttyagent, as systemctl has it): it asks for the password
 * that an action needs, unless the session has an agent already. One for the whole process. */

/* Returns once the agent can be asked; -ENOENT if there is none to run. A second call changes nothing. */
int tty_agent_open(void);
void tty_agent_close(void);
