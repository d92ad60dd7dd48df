// Arguments that the C++ header accepts, and those that must not compile. Compiled, never run.

#include "tu_token.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace
{

using namespace std::chrono_literals;

template <class Config, class Value, class = void>
constexpr bool is_set_with = false;
template <class Config, class Value>
constexpr bool is_set_with<
    Config, Value,
    std::void_t<decltype(std::declval<Config>().set("key", std::declval<Value>()))>> = true;

template <class Value>
constexpr bool is_an_option = is_set_with<tu::config &, Value> && is_set_with<tu::config, Value>;
template <class Value>
constexpr bool is_no_option = !is_set_with<tu::config &, Value> && !is_set_with<tu::config, Value>;

struct as_view
{
    operator std::string_view() const { return "view"; }
};
struct as_string
{
    operator std::string() const { return "string"; }
};
struct as_c_string
{
    operator const char *() const { return "chars"; }
};
// Many types at once: none is ambiguous.
struct as_all : as_view, as_string, as_c_string
{
};
struct as_number
{
    operator int() const { return 1; }
};
enum plain_enum { plain };
enum class scoped_enum { scoped };
enum class byte_enum : unsigned char { byte };

static_assert(is_an_option<const char *> && is_an_option<char *> && is_an_option<const char (&)[2]>);
static_assert(is_an_option<std::string> && is_an_option<std::string &> &&
              is_an_option<const std::string &> && is_an_option<std::string_view> &&
              is_an_option<as_view> && is_an_option<as_string> &&
              is_an_option<as_c_string> && is_an_option<as_all>);
static_assert(is_an_option<bool> && is_an_option<bool &> && is_an_option<const bool &>);
static_assert(is_an_option<std::int8_t> && is_an_option<std::uint8_t> && is_an_option<short> &&
              is_an_option<unsigned short> && is_an_option<int> && is_an_option<const int &> &&
              is_an_option<unsigned> && is_an_option<long> && is_an_option<unsigned long> &&
              is_an_option<long long> && is_an_option<unsigned long long> &&
              is_an_option<std::size_t>);
static_assert(is_an_option<std::chrono::nanoseconds> && is_an_option<std::chrono::milliseconds> &&
              is_an_option<std::chrono::minutes> && is_an_option<std::chrono::duration<double>> &&
              is_an_option<std::chrono::duration<float, std::milli>> &&
              is_an_option<const std::chrono::hours &> && is_an_option<tu::duration>);

static_assert(is_no_option<float> && is_no_option<double> && is_no_option<const double &> &&
              is_no_option<long double>);
static_assert(is_no_option<char> && is_no_option<char &> && is_no_option<wchar_t> &&
              is_no_option<char16_t> && is_no_option<char32_t>);
#ifdef __cpp_char8_t
static_assert(is_no_option<char8_t> && is_no_option<const char8_t *>);
#endif
static_assert(is_no_option<std::nullptr_t> && is_no_option<int *> && is_no_option<const void *> &&
              is_no_option<unsigned char *> && is_no_option<const wchar_t *>);
static_assert(is_no_option<plain_enum> && is_no_option<scoped_enum> && is_no_option<byte_enum> &&
              is_no_option<std::byte>);
static_assert(is_no_option<as_number> && is_no_option<std::optional<int>> &&
              is_no_option<std::optional<std::string>> && is_no_option<std::wstring> &&
              is_no_option<std::true_type> && is_no_option<std::chrono::system_clock::time_point>);

template <class Scope, class = void>
constexpr bool is_asked_for = false;
template <class Scope>
constexpr bool is_asked_for<
    Scope, std::void_t<decltype(std::declval<const tu::client &>().get(std::declval<Scope>()))>> =
    true;

static_assert(is_asked_for<const char *> && is_asked_for<std::string> &&
              is_asked_for<std::string_view> && is_asked_for<tu::get_options> &&
              is_asked_for<as_view> && is_asked_for<as_string> && is_asked_for<as_c_string>);
static_assert(!is_asked_for<int> && !is_asked_for<char> && !is_asked_for<bool> &&
              !is_asked_for<double> && !is_asked_for<plain_enum> && !is_asked_for<std::byte> &&
              !is_asked_for<std::initializer_list<std::string_view>> &&
              !is_asked_for<std::chrono::seconds>);

template <class Text, class = void>
constexpr bool is_a_text = false;
template <class Text>
constexpr bool is_a_text<
    Text, std::void_t<decltype(std::declval<tu::client &>().rotate("id", std::declval<Text>())),
                      decltype(std::declval<tu::client &>().try_rotate(std::declval<Text>(), "")),
                      decltype(std::declval<tu::client &>().invalidate(std::declval<Text>())),
                      decltype(std::declval<tu::client &>().api_refused(std::declval<Text>())),
                      decltype(std::declval<tu::client &>().may_send_to(std::declval<Text>()))>> =
    true;

static_assert(is_a_text<const char *> && is_a_text<const char (&)[2]> && is_a_text<std::string> &&
              is_a_text<std::string_view> && is_a_text<as_view> && is_a_text<as_string> &&
              is_a_text<as_c_string> && is_a_text<as_all>);
static_assert(!is_a_text<std::nullptr_t> && !is_a_text<int> && !is_a_text<char> &&
              !is_a_text<bool> && !is_a_text<double> && !is_a_text<plain_enum> &&
              !is_a_text<std::initializer_list<std::string_view>>);

// From any duration, exactly or away from zero.
using std::chrono::duration;
constexpr std::int64_t ms(tu::duration time) { return time.count(); }
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
static_assert(ms(0s) == 0 && ms(5s) == 5000 && ms(std::chrono::minutes(20)) == 1200000 &&
              ms(std::chrono::hours(24)) == 86400000);
static_assert(ms(1ns) == 1 && ms(1000000ns) == 1 && ms(1000001ns) == 2 && ms(500us) == 1);
static_assert(ms(-1ns) == -1 && ms(-1000000ns) == -1 && ms(-1000001ns) == -2 && ms(-5s) == -5000);
static_assert(ms(86399999999999ns) == 86400000 && ms(86400000000000ns) == 86400000 &&
              ms(86400000000001ns) == 86400001);
static_assert(ms(duration<int, std::ratio<1, 3>>(1)) == 334 &&
              ms(duration<int, std::ratio<1, 3>>(3)) == 1000);
static_assert(ms(duration<double>(0.07)) == 70 && ms(duration<double>(2.007)) == 2007 &&
              ms(duration<double>(2.5)) == 2500 && ms(duration<double>(1.001)) == 1001 &&
              ms(duration<float>(0.07f)) == 70 && ms(duration<double>(1e-12)) == 1 &&
              ms(duration<double>(0.0705)) == 71 && ms(duration<double>(-0.07)) == -70 &&
              ms(duration<double>(-1e-12)) == -1 && ms(duration<double>(0)) == 0 &&
              ms(duration<float, std::milli>(0.5f)) == 1 && ms(duration<long double>(0.25L)) == 250);
static_assert(ms(std::chrono::hours::max()) == most && ms(std::chrono::seconds::max()) == most &&
              ms(std::chrono::hours::min()) == -most && ms(duration<double>(1e300)) == most &&
              ms(duration<double>(-1e300)) == -most && ms(std::chrono::milliseconds::max()) == most);
static_assert(ms(duration<double>(std::numeric_limits<double>::infinity())) == most);
static_assert(!std::is_constructible_v<tu::duration, int> &&
              !std::is_constructible_v<tu::duration, double>);

// The options of a get accept whatever converts to std::optional of milliseconds.
void options()
{
    tu::get_options how;
    how.timeout = 5s;
    how.timeout = tu::no_wait;
    how.timeout = 1500us;
    how.timeout = duration<double>(1.5);
    how.timeout = std::optional<std::chrono::milliseconds>(3ms);
    how.timeout = std::chrono::steady_clock::now() - std::chrono::steady_clock::now();
    how.timeout.emplace(3s);
    const std::optional<std::chrono::milliseconds> read = how.timeout;
    const std::chrono::milliseconds least = how.min_ttl;
    how.timeout = std::nullopt;
    how.timeout = {};
    how.min_ttl = std::chrono::minutes(1);
    static_cast<void>(how.timeout == read && how.min_ttl > 5s && how.min_ttl == least);
    static_cast<void>(tu::get_options{"asset.view", 5s, 1min, nullptr});
#if __cplusplus >= 202002L
    static_cast<void>(tu::get_options{.scope = "asset.view", .timeout = 5s, .min_ttl = 1min});
#endif
}

}  // namespace

int main()
{
    options();
    return 0;
}
