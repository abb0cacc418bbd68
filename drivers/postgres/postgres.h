#ifndef CF_DRIVERS_POSTGRES_POSTGRES_H
#define CF_DRIVERS_POSTGRES_POSTGRES_H

/*
 * postgres://[USER@][HOST][:PORT]/DATABASE[?OPTIONS] or postgres:KEY=VALUE ..., as libpq reads them: a live server,
 * dumped logically from one exported snapshot by several connections at once.
 */

struct cf_driver;

extern const struct cf_driver cf_postgres_driver;

#endif
