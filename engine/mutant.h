/* SPDX-License-Identifier: MIT
 *
 * mutant.h - bugs planted on purpose, to see whether the tests notice them (L0).
 *
 * WHAT   NK_MUTATE(n, mutated, normal) is `normal`. In a build with -DNK_MUTANT=n, which `make mutants` makes
 *        for each n and nothing else ever does, it is `mutated`. No product build has a trace of it.
 * LIST   tests/sim/MUTANTS.md says what each number is. Numbers are not used twice.
 */
#ifndef NK_MUTANT_H
#define NK_MUTANT_H

#ifdef NK_MUTANT
#define NK_MUTATE(n, mutated, normal) (NK_MUTANT == (n) ? (mutated) : (normal))
#else
#define NK_MUTATE(n, mutated, normal) (normal)
#endif

#endif
