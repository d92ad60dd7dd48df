// Lists a fleet: pages through IRIS's assets with libcurl, one token for all requests. If the API
// refuses it, the request is repeated once with a new one.
//
//   export TRACKUNIT_CLIENT_ID=... TRACKUNIT_CLIENT_SECRET=... TRACKUNIT_SCOPE=asset.view
//   c++ -std=c++17 fleet.cpp $(pkg-config --cflags --libs tu_token libcurl) -o fleet && ./fleet
//
// IRIS_URL replaces the base URL https://iris.trackunit.com, with the emulator's for example.
#include <curl/curl.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <tu_token.hpp>

namespace {

struct answer {
  long status = 0;
  bool is_json = false;
  std::string body;
};

class http {
 public:
  http() : curl_(curl_easy_init()) {
    if (!curl_) throw std::runtime_error("libcurl cannot be used");
    curl_easy_setopt(curl_.get(), CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, &append);
  }

  answer get(const std::string &url, const tu::token &token) {
    answer got;
    // The view is NUL-terminated, as libcurl expects; curl keeps a copy until the list is freed.
    headers list(curl_slist_append(nullptr, token.header().data()), &curl_slist_free_all);
    curl_easy_setopt(curl_.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, list.get());
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &got.body);
    const CURLcode result = curl_easy_perform(curl_.get());
    if (result != CURLE_OK) throw std::runtime_error(curl_easy_strerror(result));
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &got.status);
    const char *type = nullptr;
    curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_TYPE, &type);
    got.is_json = type && std::string(type).find("json") != std::string::npos;
    return got;
  }

 private:
  using headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

  static std::size_t append(const char *bytes, std::size_t size, std::size_t count, void *place) {
    static_cast<std::string *>(place)->append(bytes, size * count);
    return size * count;
  }

  struct cleanup {
    void operator()(CURL *curl) const { curl_easy_cleanup(curl); }
  };
  std::unique_ptr<CURL, cleanup> curl_;
};

// Calls an API; if it refuses the token, invalidates it and retries once with a new one.
answer ask(tu::client &client, http &connection, const std::string &url) {
  if (!client.may_send_to(url)) throw std::runtime_error("tokens do not go to " + url);
  const tu::token token = client.get();
  answer got = connection.get(url, token);
  if (got.status == 401) {
    client.invalidate(token);
    got = connection.get(url, client.get());
    if (got.status == 401) client.api_refused(url);
  }
  return got;
}

// Number of assets on a page. A real program would parse the JSON.
std::size_t assets_in(const std::string &body) {
  std::size_t count = 0;
  for (auto at = body.find("\"assetId\""); at != std::string::npos; at = body.find("\"assetId\"", at + 1)) {
    count++;
  }
  return count;
}

std::string assets_url() {
  const char *set = std::getenv("IRIS_URL");
  std::string base = set && *set ? set : "https://iris.trackunit.com";
  if (base.back() == '/') base.pop_back();
  return base + "/api/asset/v2/assets";
}

}  // namespace

int main() {
  const std::string assets = assets_url();
  try {
    tu::client client = tu::client::from_env();
    http connection;
    std::size_t total = 0;
    for (int page = 0;; page++) {
      const answer got =
          ask(client, connection, assets + "?size=20&page=" + std::to_string(page));
      if (got.status != 200) throw std::runtime_error("IRIS answered " + std::to_string(got.status));
      // A wrong address often returns an HTML page.
      if (!got.is_json) throw std::runtime_error(assets + " answered, but not in JSON: is IRIS_URL right?");
      const std::size_t listed = assets_in(got.body);
      if (listed == 0) break;
      total += listed;
    }
    std::cout << total << " machines; token requests: " << client.stats().requests << '\n';
  } catch (const tu::error &error) {
    std::cerr << tu::status_name(error.status()) << ": " << error.what() << '\n';
    return 1;
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
