/* SPDX-License-Identifier: MIT
 *
 * pages.h - pages that stay with the process when they are given back, for test_pages (tests/c/support.h). Only map and unmap are
 * there. One thread.
 */
#ifndef SIM_PAGES_H
#define SIM_PAGES_H

#include "nitro.h"

extern const struct nitro_mem sim_pages;

#endif
