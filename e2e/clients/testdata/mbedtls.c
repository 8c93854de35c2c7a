#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int err, const char *what)
{
	char text[200];
	if (err == 0)
		return;
	mbedtls_strerror(err, text, sizeof text);
	fprintf(stderr, "%s: %s (-0x%x)\n", what, text, -err);
	exit(1);
}

int main(int argc, char **argv)
{
	must(argc != 9, "HOST PORT VERSION OFFER RETRY CA CERT KEY");
	char *host = argv[1], *port = argv[2], *offer = argv[4], *ca = argv[6], *cert = argv[7], *key = argv[8];
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	mbedtls_x509_crt roots, own;
	mbedtls_pk_context own_key;
	mbedtls_ssl_config config;
	mbedtls_ssl_session session;
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	mbedtls_x509_crt_init(&roots);
	mbedtls_x509_crt_init(&own);
	mbedtls_pk_init(&own_key);
	mbedtls_ssl_config_init(&config);
	mbedtls_ssl_session_init(&session);
	must(mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0), "random");
	must(mbedtls_x509_crt_parse_file(&roots, ca), "CA");
	must(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
	     "defaults");
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
	mbedtls_ssl_conf_ca_chain(&config, &roots, NULL);
	mbedtls_ssl_conf_session_tickets(&config, strcmp(offer, "ticket") == 0 ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
	                                                                      : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
	if (strcmp(cert, "-") != 0) {
		must(mbedtls_x509_crt_parse_file(&own, cert), "certificate");
		must(mbedtls_pk_parse_keyfile(&own_key, key, NULL), "key");
		must(mbedtls_ssl_conf_own_cert(&config, &own, &own_key), "own certificate");
	}
	for (int i = 0; i < 3; i++) {
		mbedtls_net_context net;
		mbedtls_ssl_context ssl;
		unsigned char answer[16];
		int n = 0, got;
		mbedtls_net_init(&net);
		mbedtls_ssl_init(&ssl);
		must(mbedtls_net_connect(&net, host, port, MBEDTLS_NET_PROTO_TCP), "connect");
		must(mbedtls_ssl_setup(&ssl, &config), "setup");
		must(mbedtls_ssl_set_hostname(&ssl, "localhost"), "name");
		if (i > 0)
			must(mbedtls_ssl_set_session(&ssl, &session), "session");
		mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
		must(mbedtls_ssl_handshake(&ssl), "handshake");
		must(mbedtls_ssl_write(&ssl, (const unsigned char *)"ping\n", 5) != 5, "write");
		while ((got = mbedtls_ssl_read(&ssl, answer + n, sizeof answer - n)) > 0)
			n += got;
		must(n != 5 || memcmp(answer, "ping\n", 5) != 0, "answer");
		printf("answered\n"); /* there is no way to ask whether it resumed */
		mbedtls_ssl_session_free(&session);
		mbedtls_ssl_session_init(&session);
		must(mbedtls_ssl_get_session(&ssl, &session), "get session");
		mbedtls_ssl_close_notify(&ssl);
		mbedtls_ssl_free(&ssl);
		mbedtls_net_free(&net);
	}
	return 0;
}
