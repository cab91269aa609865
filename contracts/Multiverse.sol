// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IERC165, IERC6909, IERC6909Metadata } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { Multicall } from "@openzeppelin/contracts/utils/Multicall.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { Strings } from "@openzeppelin/contracts/utils/Strings.sol";
import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { IMultiverse } from "./interfaces/IMultiverse.sol";
import { Paths } from "./libraries/Paths.sol";
import { TokenMetadata } from "./libraries/TokenMetadata.sol";
import { Tokens } from "./libraries/Tokens.sol";
import { PositionId, PositionIds } from "./types/PositionId.sol";
import { QuestionId, QuestionIds } from "./types/QuestionId.sol";
import { Answer, ROOT, VerseId } from "./types/VerseId.sol";

/// @title The multiverse ledger
/// @dev The books are kept as complete sets and deltas:
///
///     balance(owner, id) = entry(owner, set of id's group) + entry(owner, id)
///
/// A push-down whose question sorts last and has lost no outcome gives the same amount in every sibling of a group, so
/// it writes that amount once, into the group's set. Everything else writes one delta per position. Entries are signed;
/// a balance never is: whatever lowers a set checks every sibling first, and sets move only while all siblings live.
///
/// During a token's callback the supply never exceeds what the ledger holds: deposits arrive before positions are
/// given, positions are burned before tokens leave.
contract Multiverse is IMultiverse, Multicall, ReentrancyGuardTransient {
    using Paths for Answer[];
    using SafeCast for int256;
    using Strings for uint256;
    using TokenMetadata for address;
    using Tokens for address;

    /// @dev The preimage of a position id.
    struct Description {
        address token;
        Answer[] path;
    }

    uint8 private constant OPEN = 1;
    uint8 private constant NARROWED = 2;
    uint8 private constant RESOLVED = 3;

    uint256 private constant MIN_OUTCOMES = 2;
    uint256 private constant MAX_OUTCOMES = 254;
    uint256 private constant MAX_AMOUNT = type(uint128).max >> 1;

    mapping(QuestionId question => Question) private _questions;
    /// @dev Outcomes still possible, meaningful for narrowed questions only.
    mapping(QuestionId question => uint256) private _masks;
    mapping(address owner => mapping(PositionId id => int256)) private _entries;
    mapping(address owner => mapping(address operator => bool)) private _operators;
    mapping(address owner => mapping(address spender => mapping(uint256 id => uint256))) private _allowances;
    mapping(address owner => mapping(address redeemer => bool)) private _redeemers;
    mapping(PositionId id => Description) private _descriptions;

    /* QUESTIONS */

    /// @inheritdoc IMultiverse
    function ask(
        address oracle,
        uint8 outcomes,
        uint64 deadline,
        bytes32 specHash,
        bytes32 termsHash,
        string calldata uri
    ) external returns (QuestionId question) {
        if (outcomes < MIN_OUTCOMES || outcomes > MAX_OUTCOMES) revert OutcomesOutOfRange(outcomes);
        if (oracle == address(0)) revert OracleIsZero();

        question = QuestionIds.derive(oracle, outcomes, deadline, specHash, termsHash);
        if (_questions[question].status == 0) {
            if (block.timestamp >= deadline) revert DeadlinePassed(question, deadline, block.timestamp);
            _questions[question] = Question({
                oracle: oracle,
                deadline: deadline,
                outcomes: outcomes,
                status: OPEN,
                winner: 0
            });
            emit QuestionAsked(question, oracle, outcomes, deadline, specHash, termsHash);
        }
        emit SpecPublished(question, uri);
    }

    /// @inheritdoc IMultiverse
    function narrow(QuestionId question, uint256 survivors) external nonReentrant {
        Question storage q = _known(question);
        if (msg.sender != q.oracle) revert NotOracle(question, msg.sender, q.oracle);
        uint256 possible = _live(question, q);
        if (survivors == possible) return;

        _requireOpen(question, q);
        uint256 highest = Math.log2(survivors);
        bool single = survivors == 1 << highest;
        bool lastSurvives = highest == q.outcomes - 1;
        if (survivors & ~possible != 0 || !(single || lastSurvives)) {
            revert InvalidSurvivors(question, survivors, possible);
        }

        if (single) {
            _resolve(question, q, uint8(highest), false);
        } else {
            _masks[question] = survivors;
            q.status = NARROWED;
            emit QuestionNarrowed(question, survivors);
        }
    }

    /// @inheritdoc IMultiverse
    function expire(QuestionId question) external nonReentrant {
        Question storage q = _known(question);
        uint8 last = q.outcomes - 1;
        if (q.status == RESOLVED) {
            if (q.winner != last) revert AlreadyResolved(question, q.winner);
            return;
        }
        if (block.timestamp < q.deadline) revert DeadlineNotReached(question, q.deadline, block.timestamp);
        _resolve(question, q, last, true);
    }

    /* PUSH DOWN, PULL UP */

    /// @inheritdoc IMultiverse
    function pushDown(
        Answer[] calldata path,
        QuestionId question,
        address token,
        uint256 amount,
        address to
    ) external nonReentrant {
        _requireAmount(amount);
        if (to == address(0)) revert ReceiverIsZero();
        (VerseId parent, VerseId stem, uint256 index) = path.locate(question);
        Question storage q = _known(question);
        _requireOpen(question, q);
        uint256 survivors = _live(question, q);

        if (path.length == 0) _deposit(token, amount);
        else _burn(msg.sender, PositionIds.derive(parent, token), amount);

        if (index == path.length && survivors == _all(question.outcomeCount())) {
            _mintSet(to, PositionIds.derive(parent.child(question, 0), token), amount);
        } else {
            _forEachChild(_mint, to, path, stem, index, question, token, survivors, amount);
        }
        emit PushDown(parent, question, msg.sender, token, to, amount, survivors, path);
    }

    /// @inheritdoc IMultiverse
    function pullUp(
        Answer[] calldata path,
        QuestionId question,
        address token,
        uint256 amount,
        address to
    ) external nonReentrant {
        if (to == address(0)) revert ReceiverIsZero();
        _pullUp(msg.sender, path, question, token, amount, to);
    }

    /// @inheritdoc IMultiverse
    function pullUpFor(
        address owner,
        Answer[] calldata path,
        QuestionId question,
        address token,
        uint256 amount
    ) external nonReentrant {
        if (!_redeemers[owner][msg.sender]) revert NotRedeemer(owner, msg.sender);
        _pullUp(owner, path, question, token, amount, owner);
    }

    /// @inheritdoc IMultiverse
    function exit(Level[] calldata levels, address token, address to) external nonReentrant {
        if (to == address(0)) revert ReceiverIsZero();
        if (levels.length == 0) revert NoLevels();
        uint256 last = levels.length - 1;
        for (uint256 i = 0; i <= last; ++i) {
            Level calldata level = levels[i];
            _pullUp(msg.sender, level.path, level.question, token, level.amount, i == last ? to : msg.sender);
        }
    }

    function _pullUp(
        address owner,
        Answer[] calldata path,
        QuestionId question,
        address token,
        uint256 amount,
        address to
    ) private {
        _requireAmount(amount);
        (VerseId parent, VerseId stem, uint256 index) = path.locate(question);
        uint256 survivors = _live(question, _known(question));

        if (index == path.length && survivors == _all(question.outcomeCount())) {
            _burnSet(owner, PositionIds.derive(parent.child(question, 0), token), amount);
        } else {
            _forEachChild(_burn, owner, path, stem, index, question, token, survivors, amount);
        }
        if (path.length != 0) _mint(to, PositionIds.derive(parent, token), amount);
        emit PullUp(parent, question, owner, token, to, amount, survivors, path);
        if (path.length == 0) token.give(to, amount);
    }

    /// @inheritdoc IMultiverse
    function setRedeemer(address redeemer, bool allowed) external {
        _redeemers[msg.sender][redeemer] = allowed;
        emit RedeemerSet(msg.sender, redeemer, allowed);
    }

    /// @inheritdoc IMultiverse
    function selfPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        if (token.code.length == 0) revert InvalidToken(token);
        try IERC20Permit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch (
            bytes memory reason
        ) {
            // Somebody may have used the signature first: then the allowance is there, which is all that was wanted.
            if (token.allowance(msg.sender, address(this)) < amount) revert PermitFailed(token, reason);
        }
    }

    /* ERC-6909 */

    /// @inheritdoc IERC6909
    function transfer(address receiver, uint256 id, uint256 amount) external returns (bool) {
        _transfer(msg.sender, receiver, PositionId.wrap(id), amount);
        return true;
    }

    /// @inheritdoc IERC6909
    function transferFrom(address sender, address receiver, uint256 id, uint256 amount) external returns (bool) {
        if (sender != msg.sender && !_operators[sender][msg.sender]) {
            uint256 allowed = _allowances[sender][msg.sender][id];
            if (allowed < amount) {
                revert InsufficientAllowance(sender, msg.sender, PositionId.wrap(id), allowed, amount);
            }
            if (allowed != type(uint256).max) _allowances[sender][msg.sender][id] = allowed - amount;
        }
        _transfer(sender, receiver, PositionId.wrap(id), amount);
        return true;
    }

    /// @inheritdoc IERC6909
    function approve(address spender, uint256 id, uint256 amount) external returns (bool) {
        _allowances[msg.sender][spender][id] = amount;
        emit Approval(msg.sender, spender, id, amount);
        return true;
    }

    /// @inheritdoc IERC6909
    function setOperator(address spender, bool approved) external returns (bool) {
        _operators[msg.sender][spender] = approved;
        emit OperatorSet(msg.sender, spender, approved);
        return true;
    }

    /// @inheritdoc IERC6909
    function balanceOf(address owner, uint256 id) public view returns (uint256) {
        PositionId position = PositionId.wrap(id);
        return position.isPhantom() ? 0 : _balance(owner, position);
    }

    /// @inheritdoc IERC6909
    function allowance(address owner, address spender, uint256 id) external view returns (uint256) {
        return _allowances[owner][spender][id];
    }

    /// @inheritdoc IERC6909
    function isOperator(address owner, address spender) external view returns (bool) {
        return _operators[owner][spender];
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return
            interfaceId == type(IERC165).interfaceId ||
            interfaceId == type(IERC6909).interfaceId ||
            interfaceId == type(IERC6909Metadata).interfaceId ||
            interfaceId == type(IMultiverse).interfaceId;
    }

    /* METADATA */

    /// @inheritdoc IMultiverse
    function describe(Answer[] calldata path, address token) external returns (PositionId id) {
        id = PositionIds.derive(path.verseId(), token);
        if (id.isPhantom()) revert PhantomPosition(id);
        _requireToken(token);

        Description storage entry = _descriptions[id];
        if (entry.token != address(0)) return id;
        entry.token = token;
        entry.path = path;
        emit PositionDescribed(id, path.verseId(), token, path);
    }

    /// @inheritdoc IMultiverse
    function description(PositionId id) external view returns (Answer[] memory path, address token) {
        Description storage entry = _described(id);
        return (entry.path, entry.token);
    }

    /// @notice The token's own name and the answers, e.g. "Test Dollar if 0x1f3a5c7e=1 and 0x9b00d1e2=0": each answer
    /// is the first four bytes of its question and the outcome.
    /// @inheritdoc IERC6909Metadata
    function name(uint256 id) external view returns (string memory text) {
        Description storage entry = _described(PositionId.wrap(id));
        text = entry.token.name();
        for (uint256 i = 0; i < entry.path.length; ++i) {
            Answer storage answer = entry.path[i];
            string memory question = (uint256(QuestionId.unwrap(answer.question)) >> 224).toHexString(4);
            text = string.concat(text, i == 0 ? " if " : " and ", question, "=", uint256(answer.outcome).toString());
        }
    }

    /// @notice The token's own symbol, the first four bytes of the id, and the outcome, e.g. "TUSD-0x5e9c11aa=1": the
    /// siblings of a position share all but the outcome.
    /// @inheritdoc IERC6909Metadata
    function symbol(uint256 id) external view returns (string memory) {
        Description storage entry = _described(PositionId.wrap(id));
        return string.concat(entry.token.symbol(), "-", (id >> 224).toHexString(4), "=", (id & 0xff).toString());
    }

    /// @notice The token's own decimals.
    /// @inheritdoc IERC6909Metadata
    function decimals(uint256 id) external view returns (uint8) {
        return _described(PositionId.wrap(id)).token.decimals();
    }

    /* VIEWS */

    /// @inheritdoc IMultiverse
    function multiverseMap(VerseId verse, address token, address owner) external view returns (uint256) {
        if (verse != ROOT) return balanceOf(owner, PositionId.unwrap(PositionIds.derive(verse, token)));
        return token.balanceOf(owner);
    }

    /// @inheritdoc IMultiverse
    function live(QuestionId question) external view returns (uint256) {
        return _live(question, _known(question));
    }

    /// @inheritdoc IMultiverse
    function questions(QuestionId question) external view returns (Question memory) {
        return _questions[question];
    }

    /// @inheritdoc IMultiverse
    function verseId(Answer[] calldata path) external pure returns (VerseId) {
        return path.verseId();
    }

    /// @inheritdoc IMultiverse
    function positionId(VerseId verse, address token) external pure returns (PositionId) {
        return PositionIds.derive(verse, token);
    }

    /// @inheritdoc IMultiverse
    function isRedeemer(address owner, address redeemer) external view returns (bool) {
        return _redeemers[owner][redeemer];
    }

    function _described(PositionId id) private view returns (Description storage entry) {
        entry = _descriptions[id];
        if (entry.token == address(0)) revert NotDescribed(id);
    }

    /* QUESTIONS, INTERNAL */

    function _known(QuestionId question) private view returns (Question storage q) {
        q = _questions[question];
        if (q.status == 0) revert UnknownQuestion(question);
    }

    /// @dev Neither the oracle nor time has decided.
    function _requireOpen(QuestionId question, Question storage q) private view {
        if (q.status == RESOLVED) revert AlreadyResolved(question, q.winner);
        if (block.timestamp >= q.deadline) revert DeadlinePassed(question, q.deadline, block.timestamp);
    }

    /// @dev Bit mask of the outcomes still possible now.
    function _live(QuestionId question, Question storage q) private view returns (uint256) {
        if (q.status == RESOLVED) return 1 << q.winner;
        if (block.timestamp >= q.deadline) return 1 << (q.outcomes - 1);
        if (q.status == NARROWED) return _masks[question];
        return _all(q.outcomes);
    }

    function _all(uint256 outcomes) private pure returns (uint256) {
        unchecked {
            return (1 << outcomes) - 1;
        }
    }

    function _resolve(QuestionId question, Question storage q, uint8 winner, bool expired) private {
        q.status = RESOLVED;
        q.winner = winner;
        emit QuestionResolved(question, winner, expired);
    }

    /* BALANCES, INTERNAL */

    /// @dev Mints or burns `amount` of `token` in every surviving child's own verse.
    function _forEachChild(
        function(address, PositionId, uint256) mintOrBurn,
        address owner,
        Answer[] calldata path,
        VerseId stem,
        uint256 index,
        QuestionId question,
        address token,
        uint256 survivors,
        uint256 amount
    ) private {
        for (uint256 outcome = 0; survivors >> outcome != 0; ++outcome) {
            if ((survivors >> outcome) & 1 == 0) continue;
            mintOrBurn(owner, PositionIds.derive(path.insert(stem, index, question, outcome), token), amount);
        }
    }

    /// @dev Mints `amount` of every position of a whole group; `first` is the one of outcome 0, the others' ids follow it.
    function _mintSet(address to, PositionId first, uint256 amount) private {
        _raise(_entries[to], first.set(), amount);
        uint256 id = PositionId.unwrap(first);
        for (uint256 end = id + first.outcomeCount(); id < end; ++id) {
            emit Transfer(msg.sender, address(0), to, id, amount);
        }
    }

    /// @dev Burns `amount` of every position of a whole group, all of which must bear it.
    function _burnSet(address owner, PositionId first, uint256 amount) private {
        mapping(PositionId => int256) storage entries = _entries[owner];
        PositionId set = first.set();
        // The least delta with which a sibling can bear it; see `_raise` for why these cannot overflow.
        int256 least;
        unchecked {
            least = int256(amount) - entries[set];
            entries[set] = -least;
        }
        uint256 id = PositionId.unwrap(first);
        for (uint256 end = id + first.outcomeCount(); id < end; ++id) {
            int256 delta = entries[PositionId.wrap(id)];
            if (delta < least) {
                uint256 balance = uint256(delta - least + int256(amount));
                revert InsufficientBalance(owner, PositionId.wrap(id), balance, amount);
            }
            emit Transfer(msg.sender, owner, address(0), id, amount);
        }
    }

    function _mint(address to, PositionId id, uint256 amount) private {
        _raise(_entries[to], id, amount);
        emit Transfer(msg.sender, address(0), to, PositionId.unwrap(id), amount);
    }

    function _burn(address owner, PositionId id, uint256 amount) private {
        _lower(owner, id, amount);
        emit Transfer(msg.sender, owner, address(0), PositionId.unwrap(id), amount);
    }

    /// @dev Cannot overflow: an amount is under 2^127, and nobody makes 2^128 moves.
    function _raise(mapping(PositionId => int256) storage entries, PositionId id, uint256 amount) private {
        unchecked {
            entries[id] += int256(amount);
        }
    }

    /// @dev Takes `amount` off one position through its delta, leaving its siblings as they are.
    function _lower(address owner, PositionId id, uint256 amount) private {
        mapping(PositionId => int256) storage entries = _entries[owner];
        int256 delta = entries[id];
        int256 balance = entries[id.set()] + delta;
        if (balance < int256(amount)) revert InsufficientBalance(owner, id, uint256(balance), amount);
        entries[id] = delta - int256(amount);
    }

    function _balance(address owner, PositionId id) private view returns (uint256) {
        mapping(PositionId => int256) storage entries = _entries[owner];
        return (entries[id.set()] + entries[id]).toUint256();
    }

    /// @dev Every amount passes here, so that casting one to int256 is exact.
    function _requireAmount(uint256 amount) private pure {
        if (amount == 0) revert ZeroAmount();
        if (amount > MAX_AMOUNT) revert AmountTooLarge(amount);
    }

    function _requireToken(address token) private view {
        if (token == address(this) || token.code.length == 0) revert InvalidToken(token);
    }

    function _transfer(address sender, address receiver, PositionId id, uint256 amount) private {
        _requireAmount(amount);
        if (receiver == address(0)) revert ReceiverIsZero();
        if (id.isPhantom()) revert PhantomPosition(id);
        _lower(sender, id, amount);
        _raise(_entries[receiver], id, amount);
        emit Transfer(msg.sender, sender, receiver, PositionId.unwrap(id), amount);
    }

    function _deposit(address token, uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.take(msg.sender, amount);
        uint256 afterwards = token.balanceOf(address(this));
        // Whatever the token says, anything but the sum of the two is a mismatch.
        unchecked {
            if (afterwards - before != amount) {
                revert DepositMismatch(token, amount, Math.saturatingSub(afterwards, before));
            }
        }
    }
}
