#include "cli/identity.h"

#include "base/err.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

void cf_identity_user(char *out, size_t size)
{
	const struct passwd *user = getpwuid(geteuid());

	if (user)
		snprintf(out, size, "%s", user->pw_name);
	else
		snprintf(out, size, "%u", geteuid());
}

int cf_identity_host(char *out, size_t size, struct cf_err *err)
{
	if (gethostname(out, size - 1) != 0)
		return cf_err_errno(err, errno, "find this host's name");
	out[size - 1] = '\0';
	return 0;
}
