/* coffer version */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "drivers/driver.h"

static int print_json(struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin(), sources = cf_doc_array();

	for (size_t i = 0; cf_drivers[i]; i++)
		cf_doc_push_text(&sources, cf_drivers[i]->scheme);
	cf_doc_text(&document, "program", "coffer");
	cf_doc_text(&document, "release", CF_VERSION);
	cf_doc_put(&document, "sources", &sources);
	return cf_doc_print(&document, stdout, err);
}

int cf_cmd_version(struct cf_cli *cli, struct cf_err *err)
{
	if (cli->json)
		return print_json(err);
	puts("coffer " CF_VERSION);
	if (cli->quiet)
		return 0;
	puts("sources:");
	for (size_t i = 0; cf_drivers[i]; i++)
		printf("  %-16s %s\n", cf_drivers[i]->usage, cf_drivers[i]->about);
	return 0;
}
