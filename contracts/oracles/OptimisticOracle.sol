// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";
import { IArbitrator } from "../interfaces/IArbitrator.sol";
import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { IOptimisticOracle } from "../interfaces/IOptimisticOracle.sol";
import { Tokens } from "../libraries/Tokens.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { Oracle } from "./Oracle.sol";

/// @title An oracle that is a game of doubling bonds
/// @dev Who wins is a function of the stored game and the time, so nothing has to be called for a game to end, and no
/// token or arbitrator is called where it is decided. Bonds are kept as sums, not as a history: a share is a proportion.
contract OptimisticOracle is IOptimisticOracle, Oracle, ReentrancyGuardTransient {
    using Tokens for address;

    /// @dev What stands behind one outcome.
    struct Side {
        uint256 bonds;
        uint256 stood;
        mapping(address account => uint256) bondOf;
    }

    /// @inheritdoc IOptimisticOracle
    uint256 public constant ROUNDS = 8;

    uint256 private constant MAX_FIRST_BOND = type(uint128).max >> 1;
    /// @dev Where doubling ends: all bonds of a game add up to less than twice the last one. No honest supply comes near.
    uint256 private constant MAX_BOND = 1 << 254;

    mapping(QuestionId question => Game) private _games;
    mapping(QuestionId question => mapping(uint8 outcome => Side)) private _sides;

    constructor(IMultiverse multiverse_) Oracle(multiverse_) {}

    /* ANSWERS */

    /// @inheritdoc IOptimisticOracle
    function propose(
        QuestionKey calldata key,
        bytes calldata terms,
        uint8 outcome,
        bytes32 evidenceHash,
        uint256 bond
    ) external nonReentrant returns (QuestionId question) {
        question = _asked(key, terms);
        Game storage game = _games[question];
        if (game.since != 0) revert AlreadyProposed(question);
        Terms memory rules = _terms(question, terms);
        if (bond < rules.minimumBond || bond > MAX_FIRST_BOND) {
            revert BondOutOfRange(bond, rules.minimumBond, MAX_FIRST_BOND);
        }

        if (block.timestamp < rules.opens) revert ProposalTooEarly(question, rules.opens, block.timestamp);
        uint256 reserved = uint256(rules.liveness) + rules.arbitrationWindow;
        uint256 needed = reserved + ROUNDS * rules.liveness;
        uint256 latest = Math.saturatingSub(key.deadline, needed);
        if (block.timestamp > latest) revert ProposalTooLate(question, latest, block.timestamp);

        game.bondToken = rules.bondToken;
        game.closes = uint64(key.deadline - reserved);
        game.liveness = rules.liveness;
        game.arbitrator = rules.arbitrator;
        game.arbitrationWindow = rules.arbitrationWindow;
        game.leader = outcome;
        _answer(question, game, outcome, evidenceHash, bond);
    }

    /// @inheritdoc IOptimisticOracle
    function dispute(QuestionId question, uint8 outcome, bytes32 evidenceHash, uint256 bond) external nonReentrant {
        Game storage game = _games[question];
        _requireRunning(question, game);
        if (outcome == game.outcome) revert SameAnswer(question, outcome);
        uint256 needed = game.bond * 2;
        if (bond != needed) revert WrongBond(question, bond, needed);
        if (bond > MAX_BOND) revert BondOutOfRange(bond, needed, MAX_BOND);

        uint8 standing = game.outcome;
        Side storage side = _sides[question][standing];
        side.stood += block.timestamp - game.since;
        if (side.stood > _sides[question][game.leader].stood) game.leader = standing;
        _answer(question, game, outcome, evidenceHash, bond);
    }

    function _answer(
        QuestionId question,
        Game storage game,
        uint8 outcome,
        bytes32 evidenceHash,
        uint256 bond
    ) private {
        if (outcome >= question.outcomeCount()) revert OutcomeOutOfRange(question, outcome);
        game.outcome = outcome;
        game.since = uint64(block.timestamp);
        game.bond = bond;
        game.pot += bond;
        Side storage side = _sides[question][outcome];
        side.bonds += bond;
        side.bondOf[msg.sender] += bond;
        emit AnswerGiven(question, msg.sender, outcome, bond, evidenceHash);

        address token = game.bondToken;
        uint256 before = token.balanceOf(address(this));
        token.take(msg.sender, bond);
        uint256 received = Math.saturatingSub(token.balanceOf(address(this)), before);
        if (received != bond) revert BondMismatch(token, bond, received);
    }

    /* ARBITRATION */

    /// @inheritdoc IOptimisticOracle
    function requestArbitration(QuestionId question) external payable nonReentrant {
        Game storage game = _games[question];
        _requireRunning(question, game);
        address arbitrator = game.arbitrator;
        if (arbitrator == address(0)) revert NoArbitrator(question);
        if (game.requester != address(0)) revert ArbitrationAlreadyRequested(question, game.requester);

        uint64 until = uint64(block.timestamp) + game.arbitrationWindow;
        game.requester = msg.sender;
        game.rulingUntil = until;
        emit ArbitrationRequested(question, msg.sender, until);

        (bool ok, bytes memory reason) = arbitrator.call{ value: msg.value }(
            abi.encodeCall(IArbitrator.requestArbitration, (question, msg.sender, until))
        );
        if (!ok) revert ArbitratorRefused(arbitrator, reason);
    }

    /// @inheritdoc IOptimisticOracle
    function rule(QuestionId question, uint8 outcome) external nonReentrant {
        Game storage game = _games[question];
        if (msg.sender != game.arbitrator) revert NotArbitrator(question, msg.sender, game.arbitrator);
        if (game.isRuled || block.timestamp >= game.rulingUntil) {
            revert RulingRefused(question, game.rulingUntil, block.timestamp);
        }
        if (outcome >= question.outcomeCount()) revert OutcomeOutOfRange(question, outcome);

        game.isRuled = true;
        game.ruling = outcome;
        emit ArbitratorRuled(question, outcome);
    }

    /* BONDS */

    /// @inheritdoc IOptimisticOracle
    function claim(QuestionId question, address to) external nonReentrant returns (uint256 amount) {
        if (to == address(0)) revert ReceiverIsZero();
        (bool isFinal, uint8 outcome) = verdict(question);
        if (!isFinal) revert NotFinal(question);
        Game storage game = _games[question];
        Side storage side = _sides[question][outcome];
        amount = _share(game, side, msg.sender);
        if (amount == 0) revert NothingToClaim(question, msg.sender);

        if (side.bonds == 0) game.pot = 0;
        else side.bondOf[msg.sender] = 0;
        emit BondsClaimed(question, msg.sender, to, amount);
        game.bondToken.give(to, amount);
    }

    /// @dev Rounded down; what that leaves, less than one unit for each winner, stays here.
    function _share(Game storage game, Side storage side, address account) private view returns (uint256) {
        uint256 bonds = side.bonds;
        if (bonds == 0) return account == game.requester ? game.pot : 0;
        return Math.mulDiv(game.pot, side.bondOf[account], bonds);
    }

    /* VIEWS */

    /// @inheritdoc IOptimisticOracle
    function verdict(QuestionId question) public view returns (bool isFinal, uint8 outcome) {
        Game storage game = _games[question];
        if (game.isRuled) return (true, game.ruling);
        if (game.since == 0 || block.timestamp < _end(game) || block.timestamp < game.rulingUntil) return (false, 0);

        if (game.since + game.liveness <= game.closes) return (true, game.outcome);
        uint256 stood = _sides[question][game.outcome].stood + game.closes - game.since;
        return (true, stood > _sides[question][game.leader].stood ? game.outcome : game.leader);
    }

    /// @inheritdoc IOptimisticOracle
    function claimable(QuestionId question, address account) external view returns (uint256) {
        (bool isFinal, uint8 outcome) = verdict(question);
        return isFinal ? _share(_games[question], _sides[question][outcome], account) : 0;
    }

    /// @inheritdoc IOptimisticOracle
    function games(QuestionId question) external view returns (Game memory) {
        return _games[question];
    }

    /// @inheritdoc IOptimisticOracle
    function support(QuestionId question, uint8 outcome) external view returns (uint256 bonds, uint256 stood) {
        Side storage side = _sides[question][outcome];
        return (side.bonds, side.stood);
    }

    /// @inheritdoc IOptimisticOracle
    function bondOf(QuestionId question, uint8 outcome, address account) external view returns (uint256) {
        return _sides[question][outcome].bondOf[account];
    }

    /// @inheritdoc IOptimisticOracle
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory) {
        return abi.decode(terms, (Terms));
    }

    /* INTERNAL */

    function _survivors(
        QuestionId question,
        QuestionKey calldata,
        bytes calldata,
        bytes calldata
    ) internal view override returns (uint256) {
        (bool isFinal, uint8 outcome) = verdict(question);
        if (!isFinal) revert NotFinal(question);
        return 1 << outcome;
    }

    function _progress(QuestionId question) internal view override returns (Status) {
        if (_games[question].since == 0) return Status.Open;
        (bool isFinal, ) = verdict(question);
        return isFinal ? Status.Final : Status.Pending;
    }

    function _terms(QuestionId question, bytes calldata terms) private view returns (Terms memory rules) {
        try this.decodeTerms(terms) returns (Terms memory decoded) {
            rules = decoded;
        } catch {
            revert MalformedTerms(question);
        }
        if (rules.liveness == 0) revert LivenessIsZero();
        if (rules.minimumBond == 0 || rules.minimumBond > MAX_FIRST_BOND) {
            revert MinimumBondOutOfRange(rules.minimumBond);
        }
        if (rules.bondToken.code.length == 0) revert InvalidBondToken(rules.bondToken);
    }

    function _requireRunning(QuestionId question, Game storage game) private view {
        if (game.since == 0) revert NotProposed(question);
        uint256 end = _end(game);
        if (game.isRuled || block.timestamp >= end) revert AnswersEnded(question, end);
    }

    /// @dev When answers end unless another one comes before: the standing one has stood long enough, or closing time.
    function _end(Game storage game) private view returns (uint256) {
        return Math.min(game.since + game.liveness, game.closes);
    }
}
