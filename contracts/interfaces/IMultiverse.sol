// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC6909Metadata } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { Answer, VerseId } from "../types/VerseId.sol";
import { PositionId } from "../types/PositionId.sol";

/// @title The multiverse ledger
/// @notice Holds the multiverse map: (verse, token, owner) to amount. A token pushed down from a verse is owned in full
/// in every child verse, because exactly one of them will come true. No owner, no pause, no upgrade, no fee.
/// @dev Paths are canonical: strictly ascending question ids, so one event has exactly one path and one id. Amounts are
/// in the token's smallest unit, at least 1 and at most 2^127 - 1.
interface IMultiverse is IERC6909Metadata {
    /// @notice A question, as the ledger stores it.
    /// @param oracle Address that alone may narrow it; zero when nobody asked this question yet.
    /// @param deadline Unix time in seconds from which the last outcome has won if nothing else had.
    /// @param outcomes Number of answers, 2 to 254; the last one is void.
    /// @param status 0 unknown, 1 open, 2 narrowed, 3 resolved (recorded; see `live` for what time has decided).
    /// @param winner The recorded answer when `status` is 3.
    struct Question {
        address oracle;
        uint64 deadline;
        uint8 outcomes;
        uint8 status;
        uint8 winner;
    }

    /// @notice One level of an exit: the arguments of a `pullUp`.
    /// @param path The parent's path, without `question`.
    /// @param question The question to pull out of.
    /// @param amount How much, in the token's smallest unit.
    struct Level {
        Answer[] path;
        QuestionId question;
        uint256 amount;
    }

    /// @notice A question was asked for the first time.
    event QuestionAsked(
        QuestionId indexed question,
        address indexed oracle,
        uint8 outcomes,
        uint64 deadline,
        bytes32 specHash,
        bytes32 termsHash
    );

    /// @notice Somebody says where the spec of `question` is. Readers take the first one that matches the spec hash.
    event SpecPublished(QuestionId indexed question, string uri);

    /// @notice The oracle ruled outcomes out, more than one is left.
    /// @param survivors Bit mask of outcomes still possible.
    event QuestionNarrowed(QuestionId indexed question, uint256 survivors);

    /// @notice The question has its answer.
    /// @param outcome The winner, 0-based.
    /// @param expired True when time decided (the deadline passed and void won), false when the oracle did.
    event QuestionResolved(QuestionId indexed question, uint8 outcome, bool expired);

    /// @notice `amount` of `token` left `owner`'s balance in `parent` and arrived in full, for `to`, in every child verse
    /// of `parent` by `question` whose outcome is in `survivors`. Balances can be rebuilt from this and `PullUp` alone.
    /// @param path The parent's path.
    event PushDown(
        VerseId indexed parent,
        QuestionId indexed question,
        address indexed owner,
        address token,
        address to,
        uint256 amount,
        uint256 survivors,
        Answer[] path
    );

    /// @notice The inverse of `PushDown`: burned from `owner` in every surviving child, credited to `to` in `parent`.
    event PullUp(
        VerseId indexed parent,
        QuestionId indexed question,
        address indexed owner,
        address token,
        address to,
        uint256 amount,
        uint256 survivors,
        Answer[] path
    );

    /// @notice `owner` allowed, or no longer allows, `redeemer` to pull up on its behalf, always to `owner`.
    event RedeemerSet(address indexed owner, address indexed redeemer, bool allowed);

    /// @notice The preimage of a position id was registered.
    event PositionDescribed(PositionId indexed id, VerseId indexed verse, address indexed token, Answer[] path);

    /// @notice Thrown when fewer than 2 or more than 254 outcomes are asked for.
    error OutcomesOutOfRange(uint256 outcomes);
    /// @notice Thrown when the oracle of a question would be the zero address.
    error OracleIsZero();
    /// @notice Thrown when a question's deadline is not in the future at its first asking, or is passed at an action
    /// that only a question still undecided by time allows.
    error DeadlinePassed(QuestionId question, uint256 deadline, uint256 timestamp);
    /// @notice Thrown by `expire` before the deadline.
    error DeadlineNotReached(QuestionId question, uint256 deadline, uint256 timestamp);
    /// @notice Thrown when nobody asked this question.
    error UnknownQuestion(QuestionId question);
    /// @notice Thrown when somebody other than the question's oracle narrows it.
    error NotOracle(QuestionId question, address caller, address oracle);
    /// @notice Thrown when the survivors are empty, not a subset of what is live, or several without the last outcome.
    error InvalidSurvivors(QuestionId question, uint256 survivors, uint256 live);
    /// @notice Thrown when an answer is already recorded and the action needs an open question or another answer.
    error AlreadyResolved(QuestionId question, uint256 winner);
    /// @notice Thrown when a path's questions do not strictly ascend, at the offending index.
    error PathNotAscending(uint256 index);
    /// @notice Thrown when an answer in a path has an outcome its question does not have.
    error OutcomeOutOfRange(QuestionId question, uint256 outcome);
    /// @notice Thrown when the question to push into or pull out of stands in the path already.
    error QuestionInPath(QuestionId question);
    /// @notice Thrown when an amount is 0.
    error ZeroAmount();
    /// @notice Thrown when an amount is over 2^127 - 1.
    error AmountTooLarge(uint256 amount);
    /// @notice Thrown when an exit names no level.
    error NoLevels();
    /// @notice Thrown when the receiver is the zero address.
    error ReceiverIsZero();
    /// @notice Thrown when a balance is too small. `id` is 0 for none of them.
    error InsufficientBalance(address owner, PositionId id, uint256 balance, uint256 needed);
    /// @notice Thrown when an allowance is too small.
    error InsufficientAllowance(address owner, address spender, PositionId id, uint256 allowance, uint256 needed);
    /// @notice Thrown when an id names an outcome that cannot exist.
    error PhantomPosition(PositionId id);
    /// @notice Thrown when the token has no code, is the ledger itself, or does not answer `balanceOf`.
    error InvalidToken(address token);
    /// @notice Thrown when a deposit did not arrive exactly.
    error DepositMismatch(address token, uint256 expected, uint256 received);
    /// @notice Thrown when the caller of `pullUpFor` was not named by the owner.
    error NotRedeemer(address owner, address caller);
    /// @notice Thrown when a permit failed and the allowance it was for is not there either.
    /// @param reason What the token reverted with.
    error PermitFailed(address token, bytes reason);
    /// @notice Thrown by metadata getters before `describe` was called for the id.
    error NotDescribed(PositionId id);
    /// @notice Thrown when a token does not answer a metadata call as ERC-20 says.
    error NoTokenMetadata(address token, bytes4 selector);

    /// @notice Asks a question. Permissionless and idempotent; publishes `uri` each time.
    /// @param oracle The address that alone may answer.
    /// @param outcomes Number of answers, 2 to 254; the last one is void.
    /// @param deadline Unix seconds, in the future when first asked.
    /// @param specHash Hash of the spec, keccak256(abi.encode(contentHash, labelsHash)).
    /// @param termsHash keccak256 of the oracle's own parameters, zero when it has none.
    /// @param uri Where the spec is: a data:, https: or ipfs: URI.
    /// @return question Its id.
    function ask(
        address oracle,
        uint8 outcomes,
        uint64 deadline,
        bytes32 specHash,
        bytes32 termsHash,
        string calldata uri
    ) external returns (QuestionId question);

    /// @notice Rules outcomes out. Only the question's oracle, only before its deadline. With one survivor the question
    /// is resolved. Saying again what already holds is a silent no-op.
    /// @param survivors Bit mask, a subset of `live`: a single outcome, or several including the last one.
    function narrow(QuestionId question, uint256 survivors) external;

    /// @notice Records what time has decided: from the deadline on, an unanswered question's last outcome has won.
    /// Permissionless. Silent when that is recorded already; reverts when the oracle answered otherwise.
    function expire(QuestionId question) external;

    /// @notice Gives `amount` of `token` in the parent verse and gets the full amount in every surviving child, for `to`.
    /// @param path The parent's path; empty for ROOT, where `amount` of the ERC-20 is taken from the caller.
    /// @param question May sort anywhere into the path; must be open.
    function pushDown(Answer[] calldata path, QuestionId question, address token, uint256 amount, address to) external;

    /// @notice The exact inverse of `pushDown` at any moment. Once the question is resolved, its one survivor alone is a
    /// complete partition, so this is also how winners are redeemed.
    /// @param path The parent's path, without `question`.
    function pullUp(Answer[] calldata path, QuestionId question, address token, uint256 amount, address to) external;

    /// @notice Several pull-ups of one token in one call: complete sets or winners go up level by level, to an ancestor or
    /// to ROOT. Each level stands for itself, in the order given, so an exit may also gather several branches, whatever
    /// the order in which the owner went down. All or nothing.
    /// @param levels Deepest first. What a level gives goes to the caller, where the next one finds it.
    /// @param to Receiver of what the last level gives.
    function exit(Level[] calldata levels, address token, address to) external;

    /// @notice `pullUp` out of `owner`'s balance and to `owner`, by an address the owner named.
    function pullUpFor(
        address owner,
        Answer[] calldata path,
        QuestionId question,
        address token,
        uint256 amount
    ) external;

    /// @notice Names, or no longer names, `redeemer` as allowed to call `pullUpFor` for the caller.
    function setRedeemer(address redeemer, bool allowed) external;

    /// @notice Spends the caller's ERC-2612 signature for this ledger, e.g. as the first call of a multicall. Succeeds
    /// also when somebody front-ran it with the same signature, since then the allowance is there.
    /// @param amount Allowance signed for, in the token's smallest unit.
    /// @param deadline Unix seconds until which the signature is good.
    function selfPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Registers the preimage of a position id, so that its metadata and ancestry can be read on chain.
    /// Permissionless, once is enough: again is a silent no-op.
    function describe(Answer[] calldata path, address token) external returns (PositionId id);

    /// @notice What `owner` has of `token` in `verse`; at ROOT the ERC-20 balance itself.
    function multiverseMap(VerseId verse, address token, address owner) external view returns (uint256);

    /// @notice Bit mask of the outcomes still possible now, time taken into account. Reverts for unknown questions.
    function live(QuestionId question) external view returns (uint256);

    /// @notice The question as stored; all zero when unknown.
    function questions(QuestionId question) external view returns (Question memory);

    /// @notice The id of the verse with this path. Reverts when the path is not canonical.
    function verseId(Answer[] calldata path) external pure returns (VerseId);

    /// @notice The ERC-6909 id of `token` inside `verse`.
    function positionId(VerseId verse, address token) external pure returns (PositionId);

    /// @notice Whether `redeemer` may call `pullUpFor` for `owner`.
    function isRedeemer(address owner, address redeemer) external view returns (bool);

    /// @notice The registered preimage of a position id. Reverts when there is none.
    function description(PositionId id) external view returns (Answer[] memory path, address token);
}
