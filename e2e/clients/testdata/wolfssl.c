#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int ok, const char *what, WOLFSSL *ssl)
{
	char text[WOLFSSL_MAX_ERROR_SZ] = "";
	if (ok)
		return;
	if (ssl)
		wolfSSL_ERR_error_string(wolfSSL_get_error(ssl, 0), text);
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static int dial(const char *host, const char *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	must(inet_pton(AF_INET, host, &addr.sin_addr) == 1, "address", NULL);
	must(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0, "connect", NULL);
	return fd;
}

int main(int argc, char **argv)
{
	must(argc == 9, "HOST PORT VERSION OFFER RETRY CA CERT KEY", NULL);
	char *host = argv[1], *port = argv[2], *version = argv[3], *offer = argv[4], *retry = argv[5];
	char *ca = argv[6], *cert = argv[7], *key = argv[8];
	int tls13 = strcmp(version, "1.3") == 0;
	wolfSSL_Init();
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(tls13 ? wolfTLSv1_3_client_method() : wolfTLSv1_2_client_method());
	must(wolfSSL_CTX_load_verify_locations(ctx, ca, NULL) == WOLFSSL_SUCCESS, "CA", NULL);
	if (strcmp(cert, "-") != 0) {
		must(wolfSSL_CTX_use_certificate_file(ctx, cert, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS, "certificate", NULL);
		must(wolfSSL_CTX_use_PrivateKey_file(ctx, key, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS, "key", NULL);
	}
	WOLFSSL_SESSION *session = NULL;
	for (int i = 0; i < 3; i++) {
		WOLFSSL *ssl = wolfSSL_new(ctx);
		int fd = dial(host, port), n = 0, got;
		char answer[16];
		wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, "localhost", strlen("localhost"));
		wolfSSL_check_domain_name(ssl, "localhost");
		if (strcmp(offer, "ticket") == 0)
			must(wolfSSL_UseSessionTicket(ssl) == WOLFSSL_SUCCESS, "ticket", ssl);
		if (strcmp(retry, "true") == 0) {
			int groups[] = {WOLFSSL_ECC_SECP521R1, WOLFSSL_ECC_SECP256R1};
			must(wolfSSL_set_groups(ssl, groups, 2) == WOLFSSL_SUCCESS, "groups", ssl);
			must(wolfSSL_UseKeyShare(ssl, groups[0]) == WOLFSSL_SUCCESS, "key share", ssl);
		}
		if (session)
			wolfSSL_set_session(ssl, session); /* fails for one without an ID or ticket */
		wolfSSL_set_fd(ssl, fd);
		must(wolfSSL_connect(ssl) == WOLFSSL_SUCCESS, "handshake", ssl);
		must(wolfSSL_write(ssl, "ping\n", 5) == 5, "write", ssl);
		while ((got = wolfSSL_read(ssl, answer + n, sizeof answer - n)) > 0)
			n += got;
		must(n == 5 && memcmp(answer, "ping\n", 5) == 0, "answer", ssl);
		printf("answered\nresumed %s\n", wolfSSL_session_reused(ssl) ? "true" : "false");
		session = wolfSSL_get1_session(ssl);
		wolfSSL_shutdown(ssl);
		wolfSSL_free(ssl);
		close(fd);
	}
	return 0;
}
