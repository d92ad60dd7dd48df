// Peers measures the cost of a cache hit of MSAL for Go. A module of its own, so that only `make bench` needs
// its dependencies.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"os"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"tutoken.example/bench/rounds"
)

func main() {
	ctx := context.Background()
	credential, err := confidential.NewCredFromSecret("secret-of-bench")
	if err != nil {
		log.Fatal(err)
	}
	client, err := confidential.New(os.Getenv("BENCH_TLS")+"/tenant", "bench", credential,
		confidential.WithHTTPClient(httpClient()), confidential.WithInstanceDiscovery(false))
	if err != nil {
		log.Fatal(err)
	}
	scopes := []string{"asset.view"}
	rounds.Measure([]*rounds.Way{{Name: "MSAL for Go", Calls: 200, Call: func() error {
		// Asks its cache first.
		_, err := client.AcquireTokenByCredential(ctx, scopes)
		return err
	}}})
}

// httpClient trusts the benchmark's authority.
func httpClient() *http.Client {
	pem, err := os.ReadFile(os.Getenv("BENCH_CA"))
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}
